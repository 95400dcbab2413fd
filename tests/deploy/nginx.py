"""Debian's nginx with the configuration that is shipped, on free ports and in a folder of its own."""

import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.server import free_port

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "agio.conf"
START_S = 30.0

needs_nginx = pytest.mark.skipif(
    NGINX is None, reason="NGINX IS MISSING: deploy/nginx/agio.conf was NOT tried (apt-get install nginx-light)"
)

#: What Debian's nginx.conf has around files of conf.d.
AROUND = """
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    include {folder}/agio.conf;
}}
"""
#: What an installation changes, as here: where it listens, where Agio is, where the log goes.
PLACES = {
    "listen 80;": "listen 127.0.0.1:{port};",
    "server 127.0.0.1:8000;": "server 127.0.0.1:{agio};",
    "/var/log/nginx/agio.log": "{folder}/access.log",
}


class Nginx:
    """A proxy before the server at a port. It keeps its own port over restarts."""

    def __init__(self, folder: Path, agio_port: int) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        text = CONFIG.read_text(encoding="utf-8")
        for shipped, here in PLACES.items():
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, here.format(port=self.port, agio=agio_port, folder=folder))
        (folder / "agio.conf").write_text(text, encoding="utf-8")
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access_log(self) -> str:
        return (self._folder / "access.log").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it; return when it answers."""
        assert NGINX is not None
        options = [
            "-p",
            str(self._folder),
            "-c",
            str(self._folder / "nginx.conf"),
            "-g",
            "daemon off; master_process off;",
        ]
        self._process = subprocess.Popen([NGINX, *options], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(f"{self.url}/metrics", timeout=1)  # answered by nginx itself
                return
            time.sleep(0.02)
        pytest.fail((self._folder / "error.log").read_text(encoding="utf-8"))

    def stop(self) -> None:
        """Cut every connection off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)
            self._process = None
