"""Reports, index and comparison: what the files say; a browser reads them in test_pages."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from flows import cli, comparison, experiments, reports
from flows.commands import judge
from flows.history import last_committed
from likeness.contracts.errors import CatalogError, FootageError, GraphError
from likeness.evaluation.report import changes, figures, rows
from likeness.evaluation.tables import CURVES
from likeness.media.encode import VideoWriter
from likeness.media.footage import open_footage
from likeness.media.images import encode_jpeg
from likeness.provenance import grid
from tests.reportcase import FRAMES, ReportCase, git, make_report_case, metrics

ROOT = Path()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ReportCase:
    root = tmp_path_factory.mktemp("reports")
    with chdir(root):
        return make_report_case(root)


@pytest.fixture(autouse=True)
def inside(made: ReportCase) -> Iterator[None]:
    with chdir(made.root):
        yield


def text_of(page: str) -> str:
    """Words of a page, without tags, scripts, styles and pictures."""
    bare = re.sub(r"(?s)<(script|style).*?</\1>|<[^>]+>", " ", page)
    return " ".join(bare.split())


def test_a_page_holds_the_stages_own_and_what_changed_since_the_commit() -> None:
    written = reports.write_reports(ROOT, ["first"])
    assert [str(path) for path in written] == ["reports/first.html", "reports/index.html"]
    text = text_of(Path("reports/first.html").read_text())
    assert "the numbers of yesterday" in text
    assert "Identity: source +0.200 better 0.300 0.500" in text
    # 2.0 before and 2.5 now, but the target's own is 2.4: nearer is better, not less.
    assert "Border, edges +0.50 better 2.00 2.50" in text
    assert "Head pose +" not in text
    assert "1 of 2 gates fail" in text


def test_the_stages_page_itself_knows_no_commit(made: ReportCase) -> None:
    own = made.page("first").read_text()
    assert "yesterday" not in own
    before = made.page("first").read_bytes()
    made.evaluate("first", metrics(), lambda rgb: 255 - rgb)
    assert made.page("first").read_bytes() == before


def test_committed_numbers_are_compared_with_those_before_them(made: ReportCase) -> None:
    path = "data/swaps/first/report/metrics.json"
    found = last_committed(ROOT, path, metrics())
    assert found is not None
    assert not found.is_current
    git(made.root, "add", path)
    git(made.root, "commit", "-q", "-m", "the numbers of today")
    found = last_committed(ROOT, path, metrics())
    assert found is not None
    assert found.is_current
    assert found.metrics["identity_cosine"]["source"] == 0.3
    assert "before them stood" in reports.since(reports.find_swaps(ROOT, ["first"])[0], ROOT)
    found = last_committed(ROOT, path, metrics(colour_shift__mean=0.1))
    assert found is not None
    assert found.metrics == metrics()


def test_without_git_or_commit_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    assert last_committed(tmp_path, "metrics.json", {}) is None
    assert last_committed(ROOT, "data/swaps/second/report/metrics.json", metrics()) is None


def test_the_index_shows_every_swap_and_what_other_stages_say() -> None:
    for name, content in {
        "detectability": {"swaps": {"first": {"auc": 0.75, "low": 0.7, "high": 0.8}}},
        "retrieval": {"swaps": {"second": {"top_1": 0.5, "frames": 10}}},
    }.items():
        path = Path("data") / name / "metrics.json"
        path.parent.mkdir()
        path.write_text(json.dumps(content))
    page = reports.write_reports(ROOT)[-1].read_text()
    text = text_of(page)
    assert "3 in params.yaml, 2 evaluated" in text
    assert "elsewhere ann on another-clip, by ann-ben not evaluated" in text
    assert "outside.ssim is 0.995, must be &gt;= 0.999" in text
    assert "Identity: source cosine to the source's gallery 0.500 ↑ 0.060 0.630" in (
        text.replace("&#39;", "'")
    )
    assert "Detectability: auc 95 %: 0.70 to 0.80 0.75" in text
    assert "Retrieval: top-1 of 10 frames 0.50" in text
    assert page.count('src="data:image/jpeg') == 2
    assert 'href="first.html"' in page
    assert 'href="../data/swaps/first/render.mp4"' in page


def test_experiments_have_a_line_per_swap() -> None:
    prefix = "data/swaps/{}/report/metrics.json:"
    found = [
        {"Experiment": None, "rev": "workspace", "Created": None,
         prefix.format("first") + "identity_cosine.source": 0.5,
         prefix.format("second") + "identity_cosine.source": "True"},
        {"Experiment": "brave-idea", "rev": "abc", "Created": "09:00 AM",
         prefix.format("second") + "pose_error_deg.mean": 3},
    ]  # fmt: skip
    lines = experiments.lines(found, ["first", "second"])
    assert [(line["experiment"], line["swap"]) for line in lines] == [
        ("workspace", "first"),
        ("brave-idea", "second"),
    ]
    assert experiments.cells(lines[1])[:3] == ("brave-idea", "09:00 AM", "second")
    assert (
        dict(zip(experiments.heading(), experiments.cells(lines[1]), strict=True))["Head pose ↓"]
        == "3.00"
    )


def test_the_plots_template_draws_every_curve(repository: Path) -> None:
    template = json.loads((repository / ".dvc/plots/curves.json").read_text())
    fold = next(step["fold"] for step in template["transform"] if "fold" in step)
    assert sorted(fold) == sorted(CURVES)
    assert "template: curves" in (repository / "dvc.yaml").read_text()


def test_what_cannot_be_reported_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CatalogError, match=r"no such swap.*known: first, second, elsewhere"):
        reports.write_reports(ROOT, ["third"])
    with pytest.raises(GraphError, match="run `likeness swap elsewhere`"):
        reports.write_reports(ROOT, ["elsewhere"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["report", "third"])
    assert capsys.readouterr().err.startswith("error: third: no such swap")


def test_commands_print_paths(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["report", "first", "--json"])
    assert json.loads(capsys.readouterr().out) == ["reports/first.html", "reports/index.html"]


def test_a_broken_page_never_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge.report_after_run(["second"])
    assert "reports/index.html, reports/second.html" in capsys.readouterr().out

    def broken(_root: Path) -> None:
        raise ZeroDivisionError("drawn wrongly")

    monkeypatch.setattr(judge, "write_reports", broken)
    judge.report_after_run(["second"])
    assert "the reports were not written: drawn wrongly" in capsys.readouterr().err


def test_swaps_that_do_not_pair_are_refused() -> None:
    with pytest.raises(CatalogError, match=r"different targets.*elsewhere on another-clip"):
        comparison.check(ROOT, ["first", "elsewhere"])
    with pytest.raises(CatalogError, match="two to 6 different swaps, not 1"):
        comparison.check(ROOT, ["first", "first"])
    with pytest.raises(CatalogError, match="no such swap"):
        comparison.check(ROOT, ["first", "third"])


def test_tables_of_a_comparison() -> None:
    chosen = comparison.check(ROOT, ["first", "second"])
    table = changes.side_by_side({swap.name: swap.metrics or {} for swap in chosen})
    lines = comparison.markdown(chosen, table).splitlines()
    assert lines[0] == "| metric | better | first | second | Target copied | Source pasted |"
    assert "| Identity: source | higher | 0.500 | **0.600** | 0.060 | 0.630 |" in lines
    assert "| Head pose | lower | **1.50** | 4.00 | 0.00 | 3.60 |" in lines
    none = figures.NOTHING
    assert f"| Outside: SSIM | higher | 0.9950 | 0.9950 | {none} | {none} |" in lines
    found = list(csv.DictReader(io.StringIO(comparison.comma_separated(chosen, table))))
    pose = next(row for row in found if row["path"] == "pose_error_deg.mean")
    assert (pose["first"], pose["second: source_pasted"]) == ("1.5", "3.6")
    assert len(found) == len(table) == len(rows.lines(metrics()))


def test_the_film_pairs_frames_and_marks_every_swap(made: ReportCase, tmp_path: Path) -> None:
    film = tmp_path / "grid.mp4"
    swaps = [(name, made.folder(name) / "render.mp4") for name in ("first", "second")]
    shown = grid.write_grid(film, made.case.footage, swaps, "drawn by a test")
    assert shown["frames"] == list(range(FRAMES))
    place = grid.layout(3, (384, 288))
    with open_footage(film) as grids, open_footage(made.case.footage) as target:
        assert (grids.facts["width_px"], grids.facts["height_px"]) == place.size
        assert grids.facts["audio_streams"] == 1
        for frame, own in zip(grids.frames(), target.frames(), strict=True):
            assert frame.pts_s == own.pts_s
            rgb, wanted = frame.rgb().astype(int), own.rgb().astype(int)
            for number, picture in enumerate((wanted, 255 - wanted, wanted[..., ::-1])):
                x, y = place.corner(number)
                cell = rgb[y : y + place.cell[1], x : x + place.cell[0]]
                apart = np.abs(cell - picture).mean(axis=2)
                assert np.median(apart) < 12  # the same frame, but for the codec
                corner = apart[-20:-8, -90:-12].mean()  # where the mark stands
                assert corner > 25 if number else corner < 12
                assert apart[8:18, 10:30].mean() > 25  # the label


def test_the_sources_face_fills_the_free_place(made: ReportCase, tmp_path: Path) -> None:
    film, face = tmp_path / "grid.mp4", tmp_path / "ann.jpg"
    face.write_bytes(encode_jpeg(np.full((64, 64, 3), (200, 40, 90), np.uint8)))
    swaps = [(name, made.folder(name) / "render.mp4") for name in ("first", "second") * 2]
    grid.write_grid(film, made.case.footage, swaps, "drawn by a test", [face])
    place = grid.layout(5, (384, 288), spare=1)
    assert (place.columns, place.rows) == (3, 2)
    with open_footage(film) as grids:
        rgb = next(iter(grids.frames())).rgb().astype(int)
    x, y = place.corner(5)
    cell = rgb[y : y + place.cell[1], x : x + place.cell[0]]
    middle = cell[place.cell[1] // 2, place.cell[0] // 2]
    assert np.abs(middle - (200, 40, 90)).max() < 12
    assert cell.min(axis=2).mean() > 25  # grey around it, no black quarter


def test_a_render_of_another_length_does_not_pair(made: ReportCase, tmp_path: Path) -> None:
    short, footage = tmp_path / "short.mp4", open_footage(made.case.footage)
    with VideoWriter(short, footage, preset="ultrafast", audio=False) as video:
        for frame in footage.frames(range(FRAMES - 1)):
            video.write_rgb(frame.rgb(), frame.pts)
    film = tmp_path / "grid.mp4"
    with pytest.raises(FootageError, match=r"short\.mp4: has another number of frames"):
        grid.write_grid(film, made.case.footage, [("short", short)])
    assert not film.exists()
    assert grid.main([str(film), "--target", "nothing.mp4", "--swap", "a", "b.mp4"]) == 2


def test_tall_frames_stand_in_a_row_and_wide_ones_in_a_block() -> None:
    assert grid.layout(3, (360, 640)).columns == 3
    assert grid.layout(3, (640, 360), spare=1).columns == 2
    assert grid.layout(3, (640, 360)).columns in {1, 3}  # no place that nothing fills
    for cells in range(2, 8):
        for frame in ((1920, 1080), (1080, 1920), (63, 41)):
            place = grid.layout(cells, frame)
            assert place.columns * place.rows == cells
            assert all(side % 2 == 0 for side in (*place.cell, *place.size))
            assert place.size[0] <= grid.MOST_PX[0]
            assert place.size[1] <= grid.MOST_PX[1]
