"""The page's own addresses lead to the page, whatever ids are in them; files that are not there do not."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from agio.api import ui


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    build: Path = tmp_path_factory.mktemp("build")
    (build / "index.html").write_text("<html>the page</html>")
    app = FastAPI()
    ui.mount(app, build)
    return TestClient(app)


@pytest.mark.parametrize("path", ["", "runs/r1", "fork/0198f00d.12", "chat/-?run=r.1", "settings/access"])
def test_an_address_of_the_page_is_the_page_under_a_strict_policy(page: TestClient, path: str):
    answer = page.get(f"/ui/{path}")
    assert (answer.status_code, answer.text) == (200, "<html>the page</html>")
    assert "script-src 'self'; style-src 'self'" in answer.headers["Content-Security-Policy"]
    again = page.get(f"/ui/{path}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.headers.get("Content-Security-Policy")) == (304, ui.CONTENT_POLICY)


@pytest.mark.parametrize("path", ["assets/gone", "favicon.ico", "runs/app.js", "style.css"])
def test_a_file_that_is_not_there_is_not_the_page(page: TestClient, path: str):
    assert page.get(f"/ui/{path}").status_code == 404
