import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from agio.domain.errors import ToolError
from agio.tools import AddressPolicy, GuardedClient, NetworkPolicy
from agio.tools.net import Resolve, WebAnswer, WebRequest, resolve_host
from tests.unit.tools.calls import Answer, Received, text_answer, web_server

PUBLIC = "93.184.216.34"


def resolver(**names: str | list[str]) -> Resolve:
    """Resolve `a_test` as `a.test`; a list is what is answered one after the other."""
    table = {name.replace("_", "."): value for name, value in names.items()}

    async def resolve(host: str, port: int) -> list[str]:
        if host not in table:
            return await resolve_host(host, port)
        value = table[host]
        return value.split() if isinstance(value, str) else value.pop(0).split()

    return resolve


def client_for(*allowed: str, resolve: Resolve = resolve_host, **limits: float) -> GuardedClient:
    policy = NetworkPolicy(addresses=AddressPolicy.allowing(allowed), **limits)  # type: ignore[arg-type]
    return GuardedClient(policy, resolve=resolve)


def mocked(handler: Callable[[httpx.Request], httpx.Response], resolve: Resolve) -> GuardedClient:
    return GuardedClient(resolve=resolve, open_transport=lambda _: httpx.MockTransport(handler))


async def get(client: GuardedClient, url: str, **headers: str) -> WebAnswer:
    return await client.send(WebRequest(url=url, headers=headers))


async def test_allowed_server_is_reached():
    async with web_server(lambda _: text_answer("hello")) as server:
        answer = await get(client_for("127.0.0.1"), f"http://127.0.0.1:{server.port}/a%2Fb?c=d%26#e", **{"X-A": "1"})
    assert (answer.status, answer.text, answer.is_truncated) == (200, "hello", False)
    (received,) = server.requests
    assert (received.method, received.target) == ("GET", "/a%2Fb?c=d%26")
    assert received.headers["host"] == f"127.0.0.1:{server.port}"
    assert received.headers["x-a"] == "1"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://192.168.0.1:8080/",
        "https://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://inside.test/",
        "http://INSIDE.test./",
        "http://half.test/",
    ],
)
async def test_addresses_inside_are_refused_however_they_are_written(url: str):
    def never(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"connected to {request.url}")

    inside = {"inside.test": "10.0.0.1", "inside.test.": "10.0.0.1", "half.test": f"{PUBLIC} 10.0.0.1"}

    async def resolve(host: str, port: int) -> list[str]:
        return inside[host.lower()].split() if host.lower() in inside else await resolve_host(host, port)

    with pytest.raises(ToolError, match="is not allowed: it is not on the public Internet") as caught:
        await get(mocked(never, resolve), url)
    assert caught.value.code == "invalid_arguments"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1"])
async def test_numbers_that_the_resolver_takes_for_an_address_are_seen_through(host: str):
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]  # what the C library makes of them

    with pytest.raises(ToolError, match="is not allowed"):
        await get(GuardedClient(resolve=resolve), f"http://{host}/")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.com/", "must start with http"),
        ("file:///etc/passwd", "must start with http"),
        ("gopher://127.0.0.1/", "must start with http"),
        ("//example.com/", "must start with http"),
        ("example.com", "must start with http"),
        ("http:///path", "must start with http"),
        ("http://user:pass@example.com/", "user name or a password"),
        ("http://example.com\\@127.0.0.1/", "user name or a password"),
        ("http://example.com:0/", "port must be"),
        ("http://example.com:99999/", "port must be"),
        ("http://exa mple.com/\x00", "not a valid URL"),
        ("http://[::1/", "not a valid URL|not a name or an address"),
        ("http://0177.0.0.1/", "not a valid URL"),
        ("http://ex%61mple.com/", "not a name or an address"),
        ("http://[fe80::1%25eth0]/", "not a name or an address"),
        ("", "must start with http"),
    ],
)
async def test_other_urls_are_refused(url: str, message: str):
    with pytest.raises(ToolError, match=message) as caught:
        await get(GuardedClient(), url)
    assert caught.value.code == "invalid_arguments"


async def test_checked_address_is_the_one_connected_to_under_the_name_of_the_host():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, text="x")

    client = mocked(answer, resolver(shop_test=f"{PUBLIC} 93.184.216.35"))
    assert (await get(client, "https://shop.test:8443/a")).url == "https://shop.test:8443/a"
    (request,) = seen
    assert str(request.url) == f"https://{PUBLIC}:8443/a"
    assert request.headers["host"] == "shop.test:8443"
    assert request.extensions["sni_hostname"] == "shop.test"


async def test_name_that_resolves_differently_the_second_time_gains_nothing():
    names = ["127.0.0.1", "127.0.0.2"]
    async with web_server(lambda _: text_answer("checked")) as server:
        client = client_for("127.0.0.1", resolve=resolver(rebind_test=names))
        answer = await get(client, f"http://rebind.test:{server.port}/")
        assert answer.text == "checked"
        assert names == ["127.0.0.2"]
        with pytest.raises(ToolError, match=r"'rebind.test' is not allowed"):
            await get(client, f"http://rebind.test:{server.port}/")
    assert [received.headers["host"] for received in server.requests] == [f"rebind.test:{server.port}"]


async def test_name_is_checked_again_when_a_redirect_leads_to_it_again():
    def to_itself(_: Received) -> Answer:
        return Answer(status=302, headers={"Location": "/again"})

    async with web_server(to_itself) as server:
        client = client_for("127.0.0.1", resolve=resolver(rebind_test=["127.0.0.1", "127.0.0.2"]))
        with pytest.raises(ToolError, match="is not allowed"):
            await get(client, f"http://rebind.test:{server.port}/")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_to_the_inside_is_refused(status: int):
    async with web_server(lambda _: text_answer("secret")) as inside:
        location = {"Location": f"http://127.0.0.1:{inside.port}/"}
        async with web_server(lambda _: Answer(status=status, headers=location)) as outside:
            client = client_for("outside.test", resolve=resolver(outside_test="127.0.0.1"))
            with pytest.raises(ToolError, match=r"'127.0.0.1' is not allowed"):
                await get(client, f"http://outside.test:{outside.port}/")
    assert inside.requests == []


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://user:pass@127.0.0.1/", "http://[bad/", "gopher://x"]
)
async def test_redirect_to_something_else_is_refused(location: str):
    async with web_server(lambda _: Answer(status=302, headers={"Location": location})) as server:
        with pytest.raises(ToolError):
            await get(client_for("127.0.0.1"), f"http://127.0.0.1:{server.port}/")


async def test_redirects_are_followed_up_to_a_limit():
    def down(received: Received) -> Answer:
        count = int(received.target.rpartition("/")[2])
        return Answer(status=302, headers={"Location": str(count - 1)}) if count else text_answer("there")

    async with web_server(down) as server:
        base = f"http://127.0.0.1:{server.port}/count"
        answer = await get(client_for("127.0.0.1"), f"{base}/5")
        assert (answer.text, answer.url) == ("there", f"{base}/0")
        with pytest.raises(ToolError, match="More than 5 redirects"):
            await get(client_for("127.0.0.1"), f"{base}/6")


async def test_credentials_stay_with_their_origin():
    async with web_server(lambda _: text_answer("there")) as other:

        def away(received: Received) -> Answer:
            same = received.target == "/"
            return Answer(status=302, headers={"Location": "/2" if same else f"http://other.test:{other.port}/"})

        async with web_server(away) as first:
            client = client_for("127.0.0.1", resolve=resolver(other_test="127.0.0.1"))
            secret = {"Authorization": "Bearer k", "X-API-Key": "k", "Cookie": "k=k", "Accept": "text/plain"}
            await get(client, f"http://127.0.0.1:{first.port}/", **secret)
    assert [received.headers.get("x-api-key") for received in first.requests] == ["k", "k"]
    (received,) = other.requests
    assert {name for name, value in received.headers.items() if "k" in value.split()} == set()
    assert not {"authorization", "x-api-key", "cookie"} & received.headers.keys()
    assert received.headers["accept"] == "text/plain"


@pytest.mark.parametrize("status", [307, 308])
async def test_body_stays_with_its_origin(status: int):
    async with web_server(lambda _: text_answer("there")) as other:
        location = {"Location": f"http://127.0.0.2:{other.port}/"}
        async with web_server(lambda _: Answer(status=status, headers=location)) as first:
            request = WebRequest(url=f"http://127.0.0.1:{first.port}/", method="POST", content=b"k")
            with pytest.raises(ToolError, match="redirects a POST to another host; not followed"):
                await client_for("127.0.0.0/8").send(request)
    assert other.requests == []


async def test_own_headers_replace_the_usual_ones_whatever_their_case():
    async with web_server(lambda _: text_answer("x")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        await get(client_for("127.0.0.1"), url, **{"user-agent": "mine", "host": "other", "ACCEPT": "text/plain"})
    headers = server.requests[0].headers
    assert (headers["user-agent"], headers["accept"]) == ("mine", "text/plain")
    assert headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"), (308, "PUT", "PUT")],
)
async def test_redirect_keeps_or_changes_the_method_as_the_status_says(status: int, method: str, then: str):
    def once(received: Received) -> Answer:
        first = received.target == "/"
        return Answer(status=status, headers={"Location": "/2"}) if first else text_answer("there")

    async with web_server(once) as server:
        url = f"http://127.0.0.1:{server.port}/"
        headers = {"Content-Type": "text/plain"}
        await client_for("127.0.0.1").send(WebRequest(url=url, method=method, content=b"body", headers=headers))
    last = server.requests[-1]
    assert (last.method, last.body) == (then, b"" if then == "GET" else b"body")
    assert ("content-type" in last.headers) == (then != "GET")


async def test_long_answer_is_cut_off_without_reading_it_all():
    async with web_server(lambda _: text_answer("x" * 5_000_000)) as server:
        client = client_for("127.0.0.1", max_bytes=1_000)
        answer = await get(client, f"http://127.0.0.1:{server.port}/")
        assert (len(answer.content), answer.is_truncated) == (1_000, True)
        assert answer.expect_text().endswith("[cut off after 1000 bytes]")


async def test_compressed_answer_is_refused_unread():
    bomb = Answer(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")
    async with web_server(lambda _: bomb) as server:
        with pytest.raises(ToolError, match="compresses its answer"):
            await get(client_for("127.0.0.1"), f"http://127.0.0.1:{server.port}/", **{"Accept-Encoding": "gzip"})
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_server_that_never_ends_runs_into_the_time_limit():
    slow = Answer(headers={"Content-Length": "100"}, body=b"x")
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + slow.body)
        await reader.read()  # until the client closes
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ToolError, match=r"within 0\.1 s") as caught:
            await get(client_for("127.0.0.1", timeout_s=0.1), f"http://127.0.0.1:{port}/")
        assert caught.value.code == "tool_timeout"
        await asyncio.wait_for(ended.wait(), 5)


async def test_next_address_is_tried_when_one_cannot_be_connected_to():
    tried: list[str] = []

    def first_is_down(request: httpx.Request) -> httpx.Response:
        tried.append(request.url.host)
        if request.url.host == PUBLIC:
            raise httpx.ConnectError("down")
        return httpx.Response(200, text="up")

    client = mocked(first_is_down, resolver(shop_test=f"{PUBLIC} 2606:4700::1111"))
    assert (await get(client, "http://shop.test/")).text == "up"
    assert tried == [PUBLIC, "2606:4700::1111"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (httpx.ConnectError("at http://x/?key=s3cret"), "tool_failed", "Could not connect to 'shop.test'."),
        (httpx.RemoteProtocolError("s3cret"), "tool_failed", "'shop.test' cannot be talked to over HTTP."),
        (httpx.ReadTimeout("s3cret"), "tool_timeout", "'shop.test' did not answer in time."),
    ],
)
async def test_failures_name_the_host_and_no_more(error: Exception, code: str, message: str):
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(ToolError) as caught:
        await get(mocked(fail, resolver(shop_test=PUBLIC)), "http://shop.test/?key=s3cret")
    assert (str(caught.value), caught.value.code) == (message, code)


async def test_unknown_host_is_named():
    async def fail(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async def nothing(host: str, port: int) -> list[str]:
        return []

    for resolve in (fail, nothing):
        with pytest.raises(ToolError, match=r"The host 'nowhere.test' is not known."):
            await get(GuardedClient(resolve=resolve), "http://nowhere.test/")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch):
    async with (
        web_server(lambda _: text_answer("proxied")) as proxy,
        web_server(lambda _: text_answer("direct")) as server,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = await get(client_for("127.0.0.1"), f"http://127.0.0.1:{server.port}/")
    assert (answer.text, proxy.requests) == ("direct", [])


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("text/plain; charset=latin-1", b"\xe9", "é"),
        ('text/html; Charset="UTF-8"; x=y', "é".encode(), "é"),
        ("text/plain", b"a\xff", "a\ufffd"),
        ("text/plain; charset=nonsense", b"a", "a"),
        ("text/plain; charset=zip", b"a", "a"),
        ("text/plain; charset=idna", b"\xff", "\ufffd"),
        ("", b"a", "a"),
    ],
)
def test_text_is_decoded_as_the_server_says_and_never_fails(content_type: str, content: bytes, text: str):
    assert answer_of(content, content_type).text == text


def answer_of(content: bytes, content_type: str, status: int = 200) -> WebAnswer:
    headers = httpx.Headers({"Content-Type": content_type})
    return WebAnswer(url="", status=status, reason="Gone", headers=headers, content=content, is_truncated=False)


def test_only_text_and_success_are_expected():
    assert answer_of(b"{}", "application/problem+json").expect_text() == "{}"
    assert answer_of(b"", "application/octet-stream").expect_text() == ""
    with pytest.raises(ToolError, match=r"The answer is not text but image/png."):
        answer_of(b"\x89PNG", "image/png").expect_text()
    with pytest.raises(ToolError, match=r"^The server answered 410 Gone: no more$"):
        answer_of(b"no more\n", "text/plain", 410).expect_text()
    with pytest.raises(ToolError, match=r"^The server answered 410 Gone$"):
        answer_of(b"\x89PNG", "image/png", 410).expect_text()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for shop.test only, and a client's that trusts it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names = ["-addext", "subjectAltName=DNS:shop.test", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so certificates were not tested")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


async def test_certificate_is_checked_against_the_name_although_the_address_is_dialled(tls):
    server_tls, client_tls = tls
    names = resolver(shop_test="127.0.0.1", fake_test="127.0.0.1")
    policy = NetworkPolicy(addresses=AddressPolicy.allowing(["127.0.0.1"]))
    client = GuardedClient(policy, resolve=names, ssl_context=client_tls)
    async with web_server(lambda _: text_answer("safe"), tls=server_tls) as server:
        assert (await get(client, f"https://shop.test:{server.port}/")).text == "safe"
        for host in ("fake.test", "127.0.0.1"):
            with pytest.raises(ToolError, match="Could not connect"):
                await get(client, f"https://{host}:{server.port}/")
    assert len(server.requests) == 1
