"""`agio call`: one call of the API of a running server, as the UI's "copy as CLI" writes it."""

import json
import os
from typing import Annotated, Literal

import httpx
import typer

from agio.cli.output import fail

CONNECT_S = 10.0

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


def call(
    method: Annotated[Method, typer.Argument(case_sensitive=False, help="The call's method.")],
    path: Annotated[str, typer.Argument(help="Path with its query, such as '/api/runs?status=failed'.")],
    body: Annotated[str | None, typer.Option("--json", help="The call's body, as JSON.")] = None,
    url: Annotated[str, typer.Option(envvar="AGIO_URL", help="Where the server is.")] = "http://127.0.0.1:8000",
) -> None:
    """Call the API and print its answer, a stream as it comes; the key is taken from AGIO_API_KEY.

    Exits with 1 when the server refuses or cannot be reached.
    """
    headers = {"Accept": "application/json, text/event-stream"}
    if key := os.environ.get("AGIO_API_KEY"):
        headers["X-API-Key"] = key
    try:
        content = None if body is None else json.dumps(json.loads(body))
    except ValueError as error:
        fail(f"--json is not JSON: {error}")
    if content is not None:
        headers["Content-Type"] = "application/json"
    timeout = httpx.Timeout(None, connect=CONNECT_S)
    try:
        with httpx.stream(method, _join(url, path), content=content, headers=headers, timeout=timeout) as answer:
            _print(answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"no answer from {url}: {str(error) or type(error).__name__}")
    if answer.is_error:
        raise typer.Exit(1)


def _join(url: str, path: str) -> str:
    return url.rstrip("/") + "/" + path.lstrip("/")


def _print(answer: httpx.Response) -> None:
    """Print JSON with indentation, everything else line by line as it comes; refusals to standard error."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        for line in answer.iter_lines():
            typer.echo(line)
        return
    text = answer.read().decode(errors="replace")
    if text and kind.endswith("json"):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    if text:
        typer.echo(text, err=answer.is_error)
