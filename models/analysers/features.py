"""A recogniser that also tells what it saw on the way: embeddings and intermediate features.

The pack's ONNX file stays as it is. Outputs are added in memory by appending a second, partial
model to the file's bytes: Protocol Buffers define that joining two encoded messages merges them
(encoding guide, "last one wins", repeated fields are joined).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from likeness.contracts.errors import WeightsError
from models.analysers.embedder import face_input
from models.analysers.interfaces import EmbedderFacts
from models.analysers.sessions import Floats, onnx_session

Image = npt.NDArray[np.uint8]
SIDES_PX = (56, 28, 14, 7)
"""A feature map of each of these sizes is taken: what the network narrows down to between."""
EMBEDDED = (
    "/network/dw_conv/Relu_1_output_0",
    "/network/features/features.4/Add_output_0",
    "/network/features/features.11/Add_output_0",
    "/network/features/features.14/Add_output_0",
)
"""What `find_taps` finds in the embedded pack's recogniser, for a quick start."""
_GRAPH_OF_MODEL, _OUTPUT_OF_GRAPH, _NAME_OF_VALUE = 7, 12, 1  # onnx.proto


def find_taps(path: Path) -> tuple[str, ...]:
    """Names of the last feature map of each size in SIDES_PX: a sum, a rectified one, or any.

    Raises:
        WeightsError: the network has no map of one of the sizes.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    sides = {}
    for value in model.graph.value_info:
        shape = value.type.tensor_type.shape.dim
        sides[value.name] = shape[-1].dim_value if len(shape) == 4 else 0
    found = []
    for side in SIDES_PX:
        for kinds in (("Add",), ("Relu", "PRelu"), ()):
            names = [
                node.output[0]
                for node in model.graph.node
                if (not kinds or node.op_type in kinds) and sides.get(node.output[0]) == side
            ]
            if names:
                found.append(str(names[-1]))
                break
        else:
            step = "use another pack for `evaluate`"
            raise WeightsError(path, f"has no feature map of {side} px", step)
    return tuple(found)


def _number(value: int) -> bytes:
    """A varint of Protocol Buffers."""
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    return bytes([*coded, value])


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of Protocol Buffers."""
    return _number(number << 3 | 2) + _number(len(content)) + content


def with_outputs(model: bytes, names: tuple[str, ...]) -> bytes:
    """An ONNX model whose inner values `names` are outputs too, after its own."""
    values = (_field(_OUTPUT_OF_GRAPH, _field(_NAME_OF_VALUE, n.encode())) for n in names)
    return model + _field(_GRAPH_OF_MODEL, b"".join(values))


class TappedEmbedder:
    """Embeddings and feature maps of aligned crops from one pass; may be shared by threads.

    Args:
        path: the pack's recogniser.
        facts: what it expects and gives.
    """

    def __init__(self, path: Path, facts: EmbedderFacts) -> None:
        model = path.read_bytes()
        known = all(name.encode() in model for name in EMBEDDED)
        taps = EMBEDDED if known else find_taps(path)
        # One thread: several pictures at once bring more than several threads on one.
        self._session = onnx_session(path, 1, with_outputs(model, taps))
        entry = self._session.get_inputs()[0]
        self._input, self._facts = entry.name, facts
        self._alone = isinstance(entry.shape[0], int)
        self.dimension = facts.dimension

    def run(self, crops: Image) -> tuple[Floats, list[Floats]]:
        """Embeddings (N,D), not normalised, and maps (N,C,S,S) for S in SIDES_PX.

        Of crops (N,112,112,3) uint8 RGB, N at least 1.
        """
        blob = face_input(crops, self._facts)
        parts = [blob] if not self._alone else [blob[i : i + 1] for i in range(len(blob))]
        runs = [self._session.run(None, {self._input: part}) for part in parts]
        joined = zip(*runs, strict=True)
        embeddings, *maps = (np.concatenate(v) if len(v) > 1 else v[0] for v in joined)
        return embeddings.reshape(len(crops), -1), maps
