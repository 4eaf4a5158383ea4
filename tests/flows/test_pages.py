"""Report, index and comparison in a headless Chromium: their parts, their film, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from flows.comparison import compare_swaps
from flows.reports import write_reports
from tests.browser import Browser, find
from tests.reportcase import FRAMES, make_report_case

pytestmark = pytest.mark.slow

PHONE_PX = 390
PARTS = (
    *("verdicts", "since", "watch", "look", "numbers", "worst", "curves", "coverage"),
    *("training", "lineage", "parameters"),
)
READY = "document.documentElement.dataset.player === 'ready'"
TIME = "document.getElementById('film').currentTime"
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def pages(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    with chdir(root), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))  # the film is made by a process of its own
        make_report_case(root)
        report, _, index = write_reports(Path())
        compare, *_ = compare_swaps(Path(), ["first", "second"])
    found = {"report": report, "index": index, "compare": compare}
    return {name: root / path for name, path in found.items()}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with Browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("name", ["report", "index", "compare"])
@pytest.mark.parametrize("width_px", [1280, PHONE_PX])
def test_a_page_stands_alone_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, width_px: int
) -> None:
    browser.open(pages[name], width_px)
    if name != "index":
        browser.wait(READY)
    assert browser.requests == [pages[name].resolve().as_uri()]
    assert browser.complaints == []
    assert browser.ask(WIDTH) == width_px
    assert pages[name].stat().st_size < 15e6


def test_the_report_has_its_parts(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"])
    listed = [part for part in PARTS if browser.ask(f"document.getElementById('{part}') === null")]
    assert listed == []
    headings = browser.ask("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    assert headings.index("Verdict") == 0
    links = "[...document.querySelectorAll('.contents a')].map(a => a.getAttribute('href'))"
    for link in browser.ask(links):
        assert browser.ask(f"document.querySelector('{link}') !== null"), link
    texts = browser.ask("[...document.querySelectorAll('#metrics tr')].map(r => r.textContent)")
    unknown = next(text for text in texts if text.startswith("Sparkle"))
    assert "0.25" in unknown
    assert "0.125" in unknown  # a metric nobody named, with its baseline
    assert any("fewer than 50 images" in text for text in texts)
    assert browser.ask("document.querySelectorAll('#lineage rect').length") >= 8
    assert browser.ask("document.querySelectorAll('#coverage .near, #coverage .far').length") > 0
    assert browser.ask("document.querySelectorAll('#training svg .line').length") == 1


@pytest.mark.parametrize("name", ["report", "compare"])
def test_the_film_plays_and_curves_seek_it(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    browser.wait(READY)
    assert browser.ask("document.getElementById('film').readyState") >= 2
    assert browser.ask(f"({TIME} === 0) && document.getElementById('film').paused")
    browser.click("#play")
    browser.wait(f"{TIME} > 0.05")
    browser.click("#play")
    browser.click("#curves svg", x_share=0.99)
    browser.wait(f"document.getElementById('clock').textContent.startsWith('frame {FRAMES - 1},')")
    browser.press("Home", 36)  # the curve has the focus now
    browser.wait("document.getElementById('clock').textContent.startsWith('frame 0,')")
    browser.press("ArrowRight", 39)
    browser.wait("document.getElementById('clock').textContent.startsWith('frame 1,')")
    assert browser.ask("document.querySelectorAll('#curves .key b')[0].textContent") != ""
    assert browser.complaints == []


def test_points_and_strips_seek_too_and_the_player_goes_along(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["report"])
    browser.wait(READY)
    browser.click("#worst .strip button:nth-child(2)")
    wanted = browser.ask(
        "document.querySelector('#worst .strip button:nth-child(2)').dataset.frameLink"
    )
    browser.wait(f"document.getElementById('clock').textContent.startsWith('frame {wanted},')")
    assert browser.ask("document.getElementById('stage').classList.contains('docked')")
    assert browser.ask("document.getElementById('player').getBoundingClientRect().width") < 400
    browser.click("#coverage svg", x_share=0.7)
    browser.wait("document.querySelector('#coverage .said').textContent.startsWith('frame')")
    said = browser.ask("document.querySelector('#coverage .said').textContent.match(/\\d+/)[0]")
    browser.wait(f"document.getElementById('clock').textContent.startsWith('frame {said},')")


def test_a_frame_between_two_parts_of_the_film_is_shown_as_a_still(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["report"])
    browser.wait(READY)
    browser.ask("data.film.frames.splice(5, 1) && seek(5)")
    said = browser.ask("document.getElementById('which').textContent")
    assert "nearest to frame 5, which is not in the film" in said
    assert browser.ask(f"{TIME} === 0")


def test_the_player_shows_what_it_says(browser: Browser, pages: dict[str, Path]) -> None:
    """Wipe: left the target, right the render (its negative); side by side: both whole."""
    browser.open(pages["report"])
    browser.wait(READY)
    level = (
        "(share => {{ const c = document.querySelector('#player canvas');"
        "const p = c.getContext('2d').getImageData(c.width * share, c.height / 2, 1, 1).data;"
        "return p[0]; }})({})"
    )
    width = "document.querySelector('#player canvas').width"
    alone = browser.ask(width)
    left, right = (browser.ask(level.format(share)) for share in (0.49, 0.51))
    assert abs(left - right) > 20  # neighbours in the frame, one of them a negative
    browser.click("#pair")
    assert browser.ask(width) == 2 * alone
    target, render = (browser.ask(level.format(share)) for share in (0.2, 0.7))
    assert target + render == pytest.approx(255, abs=16)


@pytest.mark.parametrize("name", ["report", "compare"])
@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_buttons_of_a_square_or_upright_film_stay_on_the_screen(
    browser: Browser, pages: dict[str, Path], name: str, ratio: float
) -> None:
    browser.open(pages[name])
    browser.wait(READY)
    box = "(document.querySelector('#player canvas') || document.getElementById('film'))"
    browser.ask(f"shape(document.getElementById('player') || film, {ratio}, 1)")
    browser.ask(f"{box}.style.aspectRatio = '{ratio}'")
    top = "document.getElementById('stage').getBoundingClientRect().top"
    end = "document.getElementById('controls').getBoundingClientRect().bottom"
    assert browser.ask(f"{end} - {top} <= innerHeight")
    assert browser.ask(f"{box}.getBoundingClientRect().height > innerHeight / 2")


def test_the_film_and_the_source_come_before_what_changed(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["report"])
    order = browser.ask("[...document.querySelectorAll('section')].map(s => s.id)")
    assert order.index("watch") < order.index("look") < order.index("since")
    assert browser.ask("document.querySelectorAll('#watch .sources img').length") == 1
    assert browser.ask("[...document.images].every(i => i.naturalWidth > 0)")


def test_an_index_leads_to_the_reports(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["index"])
    assert browser.ask("document.querySelectorAll('#swaps article').length") == 3
    links = browser.ask("[...document.querySelectorAll('#swaps a')].map(a => a.href)")
    for link in links:
        assert Path(link.removeprefix("file://")).is_file(), link
    assert browser.ask("[...document.images].every(i => i.naturalWidth >= 390)")
