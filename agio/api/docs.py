"""API documentation pages, with their scripts served from here: no other host is asked."""

import asyncio
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

ASSETS = "/docs-assets"


def install(app: FastAPI) -> None:
    """Serve Swagger UI, ReDoc and the OpenAPI document, under FastAPI's and under Kasal's paths."""
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline").joinpath("static"))), name="docs-assets")

    made: list[bytes] = []

    async def openapi() -> Response:
        if not made:  # a second's work, in which this process's streams shall not stand still
            made.append(await asyncio.to_thread(lambda: bytes(JSONResponse(app.openapi()).body)))
        return Response(made[0], media_type="application/json")

    async def swagger() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title}: API console",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters={"displayRequestDuration": True, "tryItOutEnabled": True},
        )

    async def redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url="/openapi.json",
            title=f"{app.title}: API reference",
            redoc_js_url=f"{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{ASSETS}/favicon.png",
            with_google_fonts=False,
        )

    for path in ("/openapi.json", "/api-openapi.json"):
        app.add_api_route(path, openapi, include_in_schema=False)
    for path in ("/docs", "/api-docs"):
        app.add_api_route(path, swagger, include_in_schema=False)
    for path in ("/redoc", "/api-redoc"):
        app.add_api_route(path, redoc, include_in_schema=False)
