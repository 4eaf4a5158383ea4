"""Prefect's server for one machine: it answers under its own names, and to its own pages alone.

As it comes, the server lets every web page that a browser on this machine shows read and start
runs (CORS `*`), and takes any name in the Host header, which a page of a rebound name uses.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

NAMES = ("127.0.0.1", "localhost")


class OwnPagesOnly:
    """Refuses what a page of another origin asks for; programs send no Origin and pass."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403 (a WebSocket is closed)."""
        headers = dict(scope.get("headers") or ())
        origin = headers.get(b"origin", b"").decode("latin-1")
        host = headers.get(b"host", b"").decode("latin-1")
        if not origin or _own(origin, host):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            reply = PlainTextResponse("pages of another origin are refused\n", status_code=403)
            await reply(scope, receive, send)


def _own(origin: str, host: str) -> bool:
    """Whether a page comes from this server, by whichever of its names."""
    page, here = urlsplit(origin), urlsplit(f"//{host}")
    try:
        return page.hostname in NAMES and (page.port or 80) == (here.port or 80)
    except ValueError:  # a port that is no number
        return False


def guarded() -> FastAPI:
    """The server with both checks before it."""
    from prefect.server.api.server import create_app

    app = create_app(final=True)
    app.add_middleware(OwnPagesOnly)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(NAMES))
    return app
