"""A real OpenAI-compatible server, and a provider that calls it."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from agio.providers.openai_compatible import OpenAICompatibleProvider
from agio.testing.openai_server import RunningServer, running_server


@pytest.fixture(scope="session")
def running() -> Iterator[RunningServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(running: RunningServer) -> RunningServer:
    running.app.reset()
    return running


@pytest.fixture
async def make_provider(server: RunningServer) -> AsyncIterator[Callable[..., OpenAICompatibleProvider]]:
    made: list[OpenAICompatibleProvider] = []

    def make(**changes: object) -> OpenAICompatibleProvider:
        settings: dict[str, object] = {"base_url": server.url, "key": lambda: "sk-of-the-server", **changes}
        made.append(OpenAICompatibleProvider("openai", **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


@pytest.fixture
def provider(make_provider: Callable[..., OpenAICompatibleProvider]) -> OpenAICompatibleProvider:
    return make_provider()
