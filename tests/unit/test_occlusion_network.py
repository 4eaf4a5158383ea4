"""The network that says what covers a face: framing, teaching byte for byte, what is shipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.contracts.errors import WeightsError
from likeness.vision.framing import face_square
from likeness.vision.occluders.bare import bare
from likeness.vision.occluders.lesson import lesson
from models.analysers import teaching
from models.layers import occlusion_view, occlusion_weights
from models.layers.occlusion_network import SIDE_PX, OcclusionNetwork, marks, signed_distance
from tests.drawn_face import drawn_crop


def test_distances_to_an_outline_are_negative_inside() -> None:
    square = torch.tensor([[[2.0, 2], [10, 2], [10, 8], [2, 8]]])
    at = torch.tensor([[[6.0, 5], [6, 1], [13, 12], [3, 7.5]]])
    assert signed_distance(square, at)[0, 0].tolist() == pytest.approx([-3, 1, 5, -0.5])


def test_marks_tell_the_mouth_from_the_brow() -> None:
    _, points = drawn_crop(SIDE_PX)
    found = marks(torch.from_numpy(points).float()[None])[0]
    mouth = points[[13, 14]].mean(axis=0) / 2
    brow = points[[105, 66]].mean(axis=0) / 2
    lips, brows = found[3], found[2]
    assert lips[int(mouth[1]), int(mouth[0])] < 0 < lips[int(brow[1]), int(brow[0])]
    assert brows[int(brow[1]), int(brow[0])] < 0.1 < brows[int(mouth[1]), int(mouth[0])]


def test_torch_and_numpy_frame_a_face_alike() -> None:
    _, points = drawn_crop()
    turned = points @ np.array([[0.8, 0.5], [-0.5, 0.8]]) * 1.7 + (30, -12)
    ours = occlusion_view.face_squares(torch.from_numpy(turned).float()[None])[0].numpy()
    assert np.allclose(ours, face_square(turned, SIDE_PX), atol=2e-3)
    placed = turned @ ours[:, :2].T + ours[:, 2]
    assert placed.min() > 0 and placed.max() < SIDE_PX - 1


class _Echo(OcclusionNetwork):
    """Answers with the picture's red channel, to follow the way there and back."""

    def forward(self, pictures: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        del points
        return pictures[:, :1] * 8


@pytest.mark.parametrize("size_px", [128, 256, 600])
def test_what_the_network_says_lies_where_it_saw_it(size_px: int) -> None:
    """Half a px off shows at an edge; large crops are averaged on the way."""
    _, points = drawn_crop(size_px)
    side = torch.arange(size_px)
    edge = (side > points[4, 0]).float()
    crops = (edge * 2 - 1).expand(1, 3, size_px, size_px).contiguous()
    found = occlusion_view.covered(_Echo().eval(), crops, torch.from_numpy(points).float()[None])
    row = found[0, 0, int(points[4, 1])]
    crossing = float((row > 0.5).float().argmax())
    assert abs(crossing - (np.floor(points[4, 0]) + 1)) <= 1 + size_px / 400
    assert found[0, 0, 0, 0] == 0.0


def test_a_patch_within_the_face_is_no_occluder_and_a_bar_from_its_edge_is() -> None:
    points = torch.from_numpy(drawn_crop(SIDE_PX)[1]).float()[None]
    nose, chin = points[0, 4].int().tolist(), points[0, 152].int().tolist()
    found = torch.zeros(1, 1, SIDE_PX, SIDE_PX)
    found[..., nose[1] - 6 : nose[1] + 6, nose[0] - 6 : nose[0] + 6] = 0.9
    assert occlusion_view.entered(found, points).max() == 0
    found[..., nose[1] : chin[1] + 10, nose[0] - 3 : nose[0] + 3] = 0.9
    kept = occlusion_view.entered(found, points)
    assert torch.equal(kept[found > 0], found[found > 0])


@pytest.mark.slow
def test_a_small_teaching_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    """One process that draws beside the one that learns, or one for both: the same bytes."""
    crops = [bare(*drawn_crop())]
    plan = teaching.Plan(seed=5, steps=2, batch_images=2)
    losses: list[list[float]] = [[], []]
    for which, workers in enumerate((0, 1)):
        network = teaching.taught(crops, plan, workers, losses[which].append)
        occlusion_weights.save(network, tmp_path / f"{workers}.safetensors")
    one, other = (tmp_path / f"{workers}.safetensors" for workers in (0, 1))
    assert one.read_bytes() == other.read_bytes()
    assert losses[0] == losses[1] and len(losses[0]) == 2
    another = teaching.taught(crops, teaching.Plan(seed=6, steps=2, batch_images=2), 0, print)
    occlusion_weights.save(another, tmp_path / "another")
    assert (tmp_path / "another").read_bytes() != one.read_bytes()


def test_stored_weights_answer_as_the_taught_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = OcclusionNetwork().eval()
    occlusion_weights.save(network, tmp_path / "w")
    _, points = drawn_crop(SIDE_PX)
    seen = torch.rand(1, 3, SIDE_PX, SIDE_PX), torch.from_numpy(points).float()[None]
    with torch.no_grad():
        assert torch.allclose(
            network(*seen), occlusion_weights.load(tmp_path / "w")(*seen), atol=2e-2
        )


@pytest.mark.slow
def test_teaching_on_one_lesson_over_and_over_learns_it() -> None:
    crops = [bare(*drawn_crop())]
    given = [lesson(crops, 1, index, SIDE_PX, ["cup"]) for index in range(4)]
    torch.manual_seed(0)
    network = OcclusionNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(40):
        pictures, points, covers, counts = teaching.tensors(given)
        loss = teaching.loss_of(network.train()(pictures, points), covers, counts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert teaching.overlap(network, given) > 0.9


def test_shipped_weights_are_small_and_recorded() -> None:
    path = occlusion_weights.FOLDER / occlusion_weights.WEIGHTS
    assert path.stat().st_size <= occlusion_weights.MAX_BYTES
    assert occlusion_weights.shipped().training is False
    record = occlusion_weights.recipe()
    assert record["sha256"] == occlusion_weights.SHA256
    assert set(record["clips"]) == {"man/man-portrait", "woman/woman-pexels"}
    assert record["intersection_over_union"]["all"] > 0.65


def test_other_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    shutil.copytree(occlusion_weights.FOLDER, folder)
    path = folder / occlusion_weights.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"occlusion\.safetensors: sha256 is .* not .*restore"):
        occlusion_weights.shipped(folder)
    path.unlink()
    with pytest.raises(WeightsError, match="sha256 is none"):
        occlusion_weights.shipped(folder)
