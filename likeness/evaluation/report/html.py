"""Pages from templates: one style and one script for all of them, everything inside the file."""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

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


@functools.cache
def template(name: str) -> jinja2.Template:
    """A template beside this module, compiled once."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def page(name: str, /, **content: Any) -> str:
    """Text of a page; depends on its arguments alone.

    Args:
        name: of a template beside this module.
        content: what the template names; texts are escaped.
    """
    style, script = ((HERE / file).read_text(encoding="utf-8") for file in (STYLE, SCRIPT))
    return template(name).render(style=style, script=script, **content)
