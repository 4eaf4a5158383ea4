"""Pages from templates: one style and one script for all of them, everything inside the file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STYLE, SCRIPT, PARTS = "style.css", "page.js", "parts.html.j2"
"""What every page holds; PARTS is imported by the templates."""

SINCE, ANNEX = "<!-- since the last commit -->", "<!-- annex -->"
"""Marks in report.html where `likeness report` adds what no stage may know."""


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """A picture or film as text that a page can hold."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def script_json(content: object) -> str:
    """JSON that can stand inside a <script> element, whatever texts it holds."""
    return json.dumps(content, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")


def page(template: str, /, **content: Any) -> str:
    """Text of a page; depends on its arguments alone.

    Args:
        template: file name beside this module.
        content: what the template names; texts are escaped.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in (STYLE, SCRIPT))
    return environment.get_template(template).render(style=style, script=script, **content)
