"""Every stage's `deps` name the code it runs, and nothing that it does not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from flows.closure import closure, differences, write


def test_every_stage_names_its_code(repository: Path) -> None:
    found = differences(repository)
    assert not found, "run `python -m flows.closure --write`:\n" + "\n".join(map(str, found))


FILES = {
    "tasks/__init__.py": '"""Tasks."""',
    "tasks/cut.py": """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from likeness.knife import sharpen
        from likeness import ruler
        if TYPE_CHECKING:
            from likeness.unused import Shape
        PAGE = "page.html.j2"
        def run():
            from models import late
        """,
    "tasks/page.html.j2": "<p>",
    "tasks/clip.dvc.yaml": "stages: {}",
    "tasks/identity.dvc.yaml": "stages: {}",
    "likeness/__init__.py": '"""Shared."""\n__version__ = "1"\n',
    "likeness/knife.py": "from .steel import forge",
    "likeness/ruler.py": "import os",
    "likeness/steel.py": "",
    "likeness/unused.py": "",
    "models/__init__.py": "import likeness.ruler",
    "models/late.py": "",
    "models/swappers/a/swapper.py": "import models.shared, models.swappers.a.part",
    "models/swappers/a/part.py": "",
    "models/swappers/b/swapper.py": "",
    "models/shared.py": "",
    "models/swappers/registry.py": "",
    "tasks/train.py": "import models.swappers.registry",
    "dvc.yaml": """
        # the table of contents
        stages:
          cut:
            cmd: python -m tasks.cut
            deps:
              - data/cloth  # first
              - likeness/gone.py
            outs: [x]
          train:
            foreach: [one]
            do:
              cmd: python -m tasks.train
              deps:
                - models/swappers/${item.family}
          later:
            cmd: python -m tasks.later
            deps: [y]
        """,
    "params.yaml": "a: 1",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return tmp_path


def test_closure_follows_what_runs(small: Path) -> None:
    """Lazy imports, relative ones and data files count; types and versions do not."""
    assert closure(small / "tasks/cut.py", small) == [
        "likeness/knife.py",
        "likeness/ruler.py",
        "likeness/steel.py",
        "models/__init__.py",
        "models/late.py",
        "tasks/cut.py",
        "tasks/page.html.j2",
    ]


def test_differences_name_missing_and_superfluous_lines(small: Path) -> None:
    cut, train = differences(small)
    assert cut.superfluous == ("likeness/gone.py",)
    assert "likeness/steel.py" in cut.missing
    # Shared parts of every family, but no family's own files: those are its folder's.
    assert "models/shared.py" in train.missing
    assert not [
        path
        for path in train.missing
        if path.startswith(("models/swappers/a", "models/swappers/b"))
    ]


def test_write_keeps_comments_and_data(small: Path) -> None:
    write(small)
    assert differences(small) == []
    text = (small / "dvc.yaml").read_text()
    assert text.startswith("# the table of contents\n")
    assert "- data/cloth  # first\n      - likeness/knife.py" in text
    assert "gone" not in text
    before = text
    write(small)
    assert (small / "dvc.yaml").read_text() == before
