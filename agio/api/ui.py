"""The web UI: built files under `/ui/`, or a page that says how to build them."""

import re
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

CONTENT_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Agio</title></head>
<body><h1>Agio is running</h1>
<p>The web UI is not built. With Node 20 or newer, run <code>make ui</code> and reload this page.</p>
<p>The API works: its console is at <a href="/docs">/docs</a>.</p></body></html>
"""


_FILE = re.compile(r"^assets/|\.(css|html|ico|js|json|map|png|svg|txt|webmanifest|woff2?)$")
"""Paths that would be files; ids in the page's own addresses may have dots too."""


class _Pages(StaticFiles):
    """Files, and the page itself for every path that is none: the UI reads its place from the URL."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            answer = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or _FILE.search(path):
                raise
            answer = await super().get_response("index.html", scope)
        answer.headers.update(HEADERS)
        if path.startswith("assets/"):
            answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            answer.headers["Cache-Control"] = "no-cache"
        return answer


def mount(app: FastAPI, build: Path | None) -> None:
    """Serve the built UI, if there is one; a browser's `GET /` is sent there."""

    @app.get("/", include_in_schema=False)
    async def go_to_ui() -> Response:
        return RedirectResponse("/ui/")

    if build is not None:
        app.mount("/ui", _Pages(directory=build, html=True), name="ui")
        return

    @app.get("/ui/{path:path}", include_in_schema=False)
    @app.get("/ui", include_in_schema=False)
    async def say_how_to_build(path: str = "") -> Response:
        return HTMLResponse(NOT_BUILT, headers=HEADERS)
