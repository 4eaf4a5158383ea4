"""Stage convert: crops in, swapped crops out, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from likeness.contracts.appearance import load_map
from likeness.contracts.errors import (
    CatalogError,
    LikenessError,
    ModelError,
    ParamsError,
    TableError,
)
from likeness.contracts.tables.base import as_numpy
from likeness.contracts.tables.converted import CONVERTED
from likeness.contracts.tables.crops import CROPS
from likeness.media.images import decode_jpeg
from likeness.vision import alignment
from models.batch import Batch
from models.conversion import covered, joined_masks, load_swapper, swap_batch
from models.swappers import registry
from models.swappers.base import Swapper
from models.training.crops import open_crops
from tasks import appearance
from tasks.convert import STAGE
from tests.anyface import AnyFace, AnyFaceConfig
from tests.swapcase import MASK_PX, PARAMS, SIZE_PX, SWAP, Case, Drawn, make_case, write_crops
from tests.synthetic_shards import write_shards


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    use(monkeypatch, Drawn())
    return make_case(tmp_path, gaps=(3,))


def use(monkeypatch: pytest.MonkeyPatch, swapper: Drawn) -> Drawn:
    """Let the registry give `swapper` for every folder."""
    monkeypatch.setattr(registry, "load", lambda _folder: swapper.eval())
    return swapper


def converted(case: Case) -> list[dict[str, object]]:
    STAGE.execute(case.convert_arguments())
    rows: list[dict[str, object]] = CONVERTED.read(case.swap / "converted.parquet").to_pylist()
    return rows


def test_a_row_per_crop_with_frame_track_and_place(case: Case) -> None:
    rows = converted(case)
    crops = CROPS.read(case.crops).to_pylist()
    assert len(rows) == len(crops) == case.frames - 1
    for row, crop in zip(rows, crops, strict=True):
        assert row["frame_index"] == crop["frame_index"]
        assert row["track_index"] == crop["track_index"]
        assert np.allclose(row["affine_matrix"], crop["affine_matrix"])
        given, returned = decode_jpeg(crop["crop"]), decode_jpeg(row["crop"])
        assert np.abs(given.astype(int) - returned).mean() < 1.5  # JPEG once more


def test_facts_say_what_it_is(case: Case) -> None:
    converted(case)
    facts = CONVERTED.check(case.swap / "converted.parquet")
    assert facts == {
        "swap": SWAP,
        "source": "ann",
        "target": "ben-walks",
        "model": "ann-ben",
        "family": "drawn",
        "size_px": SIZE_PX,
        "mask_size_px": 128,
        "template": "ffhq_512",
    }


def test_same_input_same_bytes_and_the_batch_size_does_not_show(case: Case) -> None:
    output = case.swap / "converted.parquet"
    converted(case)
    first = output.read_bytes()
    converted(case)
    assert output.read_bytes() == first
    Path("params.yaml").write_text(PARAMS + "convert: {batch_images: 4}\n")
    converted(case)
    assert output.read_bytes() == first


def test_threads_do_not_show(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_text(PARAMS + "convert: {batch_images: 2}\n")
    torch.manual_seed(0)
    learned = registry.build("autoencoder", {"size_px": 32, "width": 8}).state_dict()

    def load(_folder: Path) -> Swapper:
        swapper = registry.build("autoencoder", {"size_px": 32, "width": 8})
        swapper.load_state_dict(learned)
        return swapper.eval()

    monkeypatch.setattr(registry, "load", load)
    found = set()
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("LIKENESS_THREADS", threads)
        converted(case)
        found.add((case.swap / "converted.parquet").read_bytes())
    assert len(found) == 1


def test_the_family_sees_its_coverage_in_its_own_px(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapper = use(monkeypatch, Drawn(size_px=32, coverage=0.5))
    rows = converted(case)
    crops = CROPS.read(case.crops)
    batch = swapper.seen[0]
    assert batch["crop"].shape[1:] == (3, 32, 32)
    assert batch["mask"].shape[1:] == (1, 32, 32)
    assert set(batch) == {"crop", "mask", "landmarks_468", "pose_deg"}
    # A point of align's crop and its image in the family's crop lie at one place of the frame.
    stored = as_numpy(crops["affine_matrix"], (2, 3))[0]
    points = as_numpy(crops["landmarks_468"], (468, 3))[0][:, :2]
    affine = np.array(rows[0]["affine_matrix"]).reshape(2, 3)
    in_frame = alignment.apply(alignment.invert(stored), points)
    assert np.allclose(
        alignment.apply(affine, in_frame), batch["landmarks_468"][0, :, :2], atol=0.01
    )
    # The square that it covers is the central half.
    quarter = SIZE_PX / 4
    corners = np.array([[quarter - 0.5, quarter - 0.5], [3 * quarter - 0.5, 3 * quarter - 0.5]])
    seen = alignment.apply(affine, alignment.apply(alignment.invert(stored), corners))
    assert np.allclose(seen, [[-0.5, -0.5], [31.5, 31.5]])


def test_a_crop_cut_down_shows_the_same_scene(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Drawn(size_px=48, coverage=0.5))
    row = converted(case)[0]
    whole = decode_jpeg(CROPS.read(case.crops)["crop"][0].as_py())
    centre = whole[SIZE_PX // 4 : -SIZE_PX // 4, SIZE_PX // 4 : -SIZE_PX // 4]
    assert np.abs(decode_jpeg(row["crop"]).astype(int) - centre).mean() < 1


def test_weights_rounded_once_give_what_autocast_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    network = registry.build("autoencoder", {"size_px": 32, "width": 4}).eval()
    batch = {"crop": torch.rand(3, 3, 32, 32) * 2 - 1, "mask": torch.ones(3, 1, 32, 32)}
    full, _ = swap_batch(network, batch, "float32")
    wanted, _ = swap_batch(network, batch, "bf16")
    monkeypatch.setattr(registry, "load", lambda _folder: network)
    found, mask = swap_batch(load_swapper(Path(), "bf16"), batch, "bf16")
    assert torch.equal(found, wanted)
    assert not torch.equal(found, full)
    assert found.dtype == mask.dtype == torch.float32


def test_affine_of_full_coverage_and_size_is_unchanged() -> None:
    affines = np.random.default_rng(0).normal(size=(5, 2, 3))
    assert np.allclose(covered(affines, 256, 256, 1.0), affines)


@pytest.mark.parametrize(("mode", "level"), [("family", 204), ("aligned", 102), ("both", 102)])
def test_masks_join_by_mode(mode: str, level: int) -> None:
    family, aligned = torch.full((2, 1, 8, 8), 0.8), torch.full((2, 1, 16, 16), 0.4)
    joined = joined_masks(family, aligned, mode)
    assert joined.shape == (2, 16, 16)
    assert (joined == level).all()


def test_noise_in_a_mask_counts_as_nothing() -> None:
    almost = torch.full((1, 1, 8, 8), 1.2 / 255)
    assert joined_masks(almost, torch.ones(1, 1, 8, 8), "both").max() == 0


def test_masks_of_align_bound_those_of_the_family(case: Case) -> None:
    rows = converted(case)
    mask = np.frombuffer(rows[0]["mask"], np.uint8).reshape(128, 128)
    stored = np.frombuffer(CROPS.read(case.crops)["mask"][0].as_py(), np.uint8)
    share = (stored.reshape(MASK_PX, MASK_PX) > 127).mean()
    assert (mask > 127).mean() == pytest.approx(share, abs=0.02)
    assert mask[:8].max() == 0


def test_a_clip_without_faces_gives_no_rows_and_says_so(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    write_crops(case, tracks=())
    assert converted(case) == []
    assert "no face to replace" in capsys.readouterr().err


def refused(case: Case, kind: type[LikenessError]) -> str:
    with pytest.raises(kind) as caught:
        STAGE.execute(case.convert_arguments())
    assert not (case.swap / "converted.parquet").exists()
    assert not list(case.swap.glob(".tmp-*"))
    return str(caught.value)


def change_json(path: Path, **keys: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_model_of_somebody_else_is_refused(case: Case, role: str) -> None:
    change_json(case.model / "config.json", **{role: "eve"})
    message = refused(case, ModelError)
    assert "`eve`" in message
    assert role in message


def test_a_model_of_a_pool_is_for_anybody(case: Case) -> None:
    pools = {"source": ["carl"], "target": ["carl"]}
    change_json(case.model / "config.json", source="people", target="people", pools=pools)
    assert len(converted(case)) == case.frames - 1


class Given(Drawn):
    """A family that is given crops of the source."""

    source_images: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("mask", "landmarks_5")

    def __init__(self) -> None:
        super().__init__(size_px=48, coverage=0.75)
        self.given: list[Batch] = []

    def swap(self, target: Batch, source: Batch | None = None) -> tuple[Tensor, Tensor]:
        """Remember the source."""
        assert source is not None
        self.given.append(source)
        return super().swap(target, source)


def test_families_are_given_the_same_few_crops_of_the_source(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(Path("data/shards/ann"), "ann", 9)
    params = Path("params.yaml")
    params.write_text(f"convert: {{batch_images: 2}}\n{params.read_text()}")
    swapper = Given()
    monkeypatch.setattr(registry, "load", lambda _folder: swapper.eval())
    converted(case)
    assert len(swapper.given) > 1
    first = swapper.given[0]
    assert first["crop"].shape == (3, 3, 48, 48)
    assert set(first) == {"crop", "mask", "landmarks_5"}
    assert all(torch.equal(g["crop"], first["crop"]) for g in swapper.given)
    assert not torch.equal(first["crop"][0], first["crop"][1])


class Mapped(Given):
    """A family that is given the views of the source's appearance map."""

    source_views: ClassVar[Literal["gallery", "appearance_map"]] = "appearance_map"


@pytest.fixture
def mapped(case: Case, monkeypatch: pytest.MonkeyPatch) -> Mapped:
    """Such a family, shards of nine crops, and their map as the stage draws it."""
    write_shards(Path("data/shards/ann"), "ann", 9)
    draw_map()
    swapper = Mapped()
    monkeypatch.setattr(registry, "load", lambda _folder: swapper.eval())
    return swapper


def draw_map() -> None:
    picture = Case.appearance.with_name("map.jpg")
    arguments = ("--shards", "data/shards/ann", "--map", str(Case.appearance))
    appearance.STAGE.execute([*arguments, "--picture", str(picture)])


def test_families_that_want_it_are_given_the_views_of_the_map(case: Case, mapped: Mapped) -> None:
    views = [view.model_dump() for view in load_map(case.appearance).views]
    change_json(case.appearance, views=views[::-1])
    converted(case)
    given, found = mapped.given[0], load_map(case.appearance)
    count = len(found.views)
    assert count > Mapped.source_images  # that bounds the gallery alone
    assert given["crop"].shape == (count, 3, 48, 48)
    assert torch.equal(given["map_points"], torch.tensor(found.points()))
    assert torch.equal(given["map_triangles"], torch.tensor(found.triangles))
    # Row by row they are the crops that the map names.
    crops = open_crops(Path("data/shards/ann"), Mapped.needs, 48, 0.75)
    rows = [row for part in crops.tables(64, ("clip", "frame_index")) for row in part.to_pylist()]
    places = [rows.index({"clip": v.clip, "frame_index": v.frame_index}) for v in found.views]
    assert places == list(range(count))[::-1]
    everything = next(crops.batches(64))
    assert torch.equal(given["crop"], everything["crop"][places])


def test_a_map_of_other_crops_is_refused(case: Case, mapped: Mapped) -> None:
    views = [view.model_dump() for view in load_map(case.appearance).views]
    change_json(case.appearance, views=[views[0] | {"frame_index": 4711}, *views[1:]])
    assert "names frame 4711 of" in refused(case, ModelError)
    change_json(case.appearance, views=[])
    assert "has no view" in refused(case, ModelError)
    change_json(case.appearance, identity="eve")
    assert "is of `eve`" in refused(case, ModelError)
    case.appearance.unlink()
    assert "input of `convert` is missing" in refused(case, LikenessError)


def test_bf16_leaves_a_recogniser_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load", lambda _folder: AnyFace(AnyFaceConfig()).eval())
    swapper = load_swapper(Path(), "bf16")
    assert isinstance(swapper, AnyFace)
    assert swapper.first.weight.dtype == torch.bfloat16
    kept = {b.dtype for b in swapper.recogniser.buffers() if b.is_floating_point()}
    assert kept == {torch.float32}
    crops = {"crop": torch.rand(2, 3, 32, 32), "mask": torch.ones(2, 1, 32, 32)}
    crops["landmarks_5"] = torch.rand(2, 5, 2) * 30
    image, _ = swap_batch(swapper, crops, "bf16", crops)
    assert image.dtype == torch.float32
    assert image.isfinite().all()


@pytest.mark.parametrize("path", ["/etc/passwd", "../crops.parquet", "data/../../x.parquet"])
def test_crops_outside_data_are_refused(case: Case, path: str) -> None:
    change_json(case.clip / "aligned.json", crops=path)
    refused(case, CatalogError)


def test_crops_that_aligned_json_does_not_describe_are_refused(case: Case) -> None:
    change_json(case.clip / "aligned.json", sha256="0" * 64)
    assert "dvc repro" in refused(case, TableError)


def test_missing_crops_are_refused(case: Case) -> None:
    case.crops.unlink()
    refused(case, TableError)


def test_a_swap_overrides_the_section_and_unknown_keys_are_named(case: Case) -> None:
    Path("params.yaml").write_text(
        PARAMS.replace("model: ann-ben}", "model: ann-ben, convert: {msk: 1}}")
    )
    assert "mask" in refused(case, ParamsError)
    Path("params.yaml").write_text(
        PARAMS.replace("model: ann-ben}", "model: ann-ben, convert: {jpeg_quality: 60}}")
    )
    small = sum(len(row["crop"]) for row in converted(case))
    Path("params.yaml").write_text(PARAMS)
    assert small < sum(len(row["crop"]) for row in converted(case))
