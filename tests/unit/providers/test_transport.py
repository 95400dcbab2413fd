"""Connections that are left early end at once, whatever the peer does."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agio.providers.openai_compatible import OpenAICompatibleProvider
from agio.providers.transport import AiohttpTransport
from tests.unit.providers.calls import ask

HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class RudePeer:
    """Takes one connection, says what it is told, never reads again and never says goodbye."""

    def __init__(self, context: ssl.SSLContext | None, says: bytes) -> None:
        self._context = context
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = threading.Event()
        self.may_read = threading.Event()
        self.ended_at: float | None = None
        self.read_bytes = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
        self.read_bytes = len(connection.recv(1024))
        connection.sendall(self._says)
        self.heard.set()
        self.may_read.wait(10)
        # Below TLS: a goodbye is not answered.
        with socket.socket(fileno=connection.detach()) as raw, suppress(OSError):
            raw.settimeout(10)
            while piece := raw.recv(65536):
                self.read_bytes += len(piece)
        self.ended_at = time.monotonic()

    def join(self) -> None:
        self._thread.join(15)
        self._listener.close()


@contextmanager
def rude_peer(context: ssl.SSLContext | None = None, says: bytes = b"") -> Iterator[RudePeer]:
    peer = RudePeer(context, says)
    try:
        yield peer
    finally:
        peer.may_read.set()
        peer.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", path, "-out", path], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("says", [b"", HEADERS], ids=["before the headers", "before the first token"])
async def test_tls_peer_that_says_no_goodbye_is_left_at_once(
    certificate: Path, says: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with rude_peer(context, says) as peer:
        peer.may_read.set()
        provider = OpenAICompatibleProvider("tls", f"https://localhost:{peer.port}/v1", needs_key=False)
        left_at = await cancel_once_heard(provider, peer, "Hi")
        await asyncio.to_thread(peer.join)
        await provider.close()
    # A goodbye that must be answered would take 30 s.
    assert peer.ended_at is not None
    assert peer.ended_at - left_at < 5


async def test_request_that_is_still_being_sent_is_dropped(make_provider: Callable[..., OpenAICompatibleProvider]):
    question = "x" * 20_000_000
    with rude_peer() as peer:
        provider = make_provider(base_url=f"http://127.0.0.1:{peer.port}/v1")
        await cancel_once_heard(provider, peer, question)
        peer.may_read.set()
        await asyncio.to_thread(peer.join)
    assert peer.read_bytes < len(question)


async def cancel_once_heard(provider: OpenAICompatibleProvider, peer: RudePeer, question: str) -> float:
    async def call() -> None:
        async with provider.stream(ask(question)) as batches:
            async for _ in batches:
                pass

    task = asyncio.create_task(call())
    await asyncio.to_thread(peer.heard.wait, 10)
    await asyncio.sleep(0.05)
    left_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return left_at


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxy"),
    [
        ("http://llm.example/v1", "", "http://proxy:1"),
        ("https://llm.example/v1", "", "http://proxy:2"),
        ("https://llm.example/v1", ".example", None),
        ("http://localhost:9/v1", "localhost", None),
    ],
)
def test_proxy_comes_from_the_environment(url: str, no_proxy: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"http_proxy": "http://proxy:1", "https_proxy": "http://proxy:2", "no_proxy": no_proxy}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.upper(), raising=False)
    assert AiohttpTransport(url)._proxy == proxy
