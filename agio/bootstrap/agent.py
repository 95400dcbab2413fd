"""`Agent`: the Python surface. Declared in code, run in a script or served."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import uvicorn

from agio.bootstrap.embedded import Approve, Embedded, RunResult
from agio.bootstrap.runtime import make_runtime
from agio.bootstrap.serving import check_port, is_local, server_options
from agio.domain.agents import Agent as AgentRecord
from agio.domain.errors import Invalid
from agio.engine.agents import RESERVED, slug_of
from agio.engine.starting import StartRequest
from agio.providers.model import OpenAIModel
from agio.providers.python import Function, check_function
from agio.settings import load_settings
from agio.tools import Tool
from agio.tools import tool as make_tool

log = logging.getLogger(__name__)

_ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
"""What the API accepts too."""

TURNS = 1000
"""Steps of a run whose agent is a function: each is one message and what the function makes of it."""


class Agent:
    """An agent: a model, tools, and how it shall go about its work."""

    def __init__(
        self,
        name: str = "Agent",
        *,
        model: OpenAIModel | str | None = None,
        function: Function | None = None,
        tools: Iterable[Tool | Callable[..., Any] | str] = (),
        system_prompt: str | None = None,
        max_steps: int = 10,
        planning_interval: int | None = None,
        description: str = "",
        id: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare an agent; nothing is started or looked up yet.

        Args:
            name: For people.
            model: An endpoint's model, `provider/model`, or None for the installation's default.
            function: In place of a model: an async function that is called with a `Turn` for each message.
            tools: Tools, plain functions, and names of tools that the installation has.
            system_prompt: What the model is told first.
            max_steps: Model calls before a final answer is demanded.
            planning_interval: Make or revise a plan before every n-th step; None: never.
            description: For people and for other agents.
            id: As requests name it; default: made from the name.
            temperature: Handed on to the model.
            max_tokens: Upper bound of one answer.
            params: Further fields of the model request.
            tags: To find it by.
            metadata: Anything of yours.

        Raises:
            Invalid: the id cannot be one, a number is out of bounds, or there is a model besides a function.
            TypeError: `function` is no async function.
        """
        self.id = id or slug_of(name)
        if not _ID.fullmatch(self.id) or self.id in RESERVED:
            message = f"{self.id!r} cannot be an agent's id: use lower-case letters, digits, '-' and '_', and pass id="
            raise Invalid(message, field="id")
        self.name = name
        self.model = model
        self.function = function
        self.tools = tuple(one if isinstance(one, str | Tool) else make_tool(one) for one in tools)
        self.system_prompt = system_prompt
        self.max_steps = max_steps if function is None else TURNS
        self.planning_interval = planning_interval
        self.description = description
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.params = dict(params or {})
        self.tags = tuple(tags)
        self.metadata = dict(metadata or {})
        self._check()
        self._embedded = Embedded()

    def _check(self) -> None:
        if self.max_steps < 1 or (self.planning_interval is not None and self.planning_interval < 1):
            raise Invalid("max_steps and planning_interval must be at least 1")
        if self.function is None:
            return
        if self.model is not None or self.planning_interval is not None or self.tools:
            raise Invalid("an agent's function takes the place of model=, tools= and planning_interval=")
        check_function(self.function)

    @property
    def tool_objects(self) -> tuple[Tool, ...]:
        """The tools that it brings along; the others it only names."""
        return tuple(tool for tool in self.tools if isinstance(tool, Tool))

    def to_record(self, *, provider: str, model: str, at: datetime) -> AgentRecord:
        """Return what the engine knows it by."""
        return AgentRecord(
            id=self.id,
            group_id="default",
            name=self.name,
            description=self.description,
            provider=provider,
            model=model,
            system_prompt=self.system_prompt,
            tools=tuple(tool if isinstance(tool, str) else tool.name for tool in self.tools),
            max_steps=self.max_steps,
            planning_interval=self.planning_interval,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            params=self.params,
            tags=self.tags,
            metadata=self.metadata,
            source="code",
            created_at=at,
            updated_at=at,
        )

    def run(
        self,
        message: str,
        *,
        session_id: str | None = None,
        max_steps: int | None = None,
        approve: Approve | None = None,
    ) -> RunResult:
        """Run to the end in this process and return the answer. No server, nothing kept after the script.

        Args:
            message: What to do.
            session_id: Continues that conversation of this object; default: a new one.
            max_steps: Instead of the agent's.
            approve: Decides calls of tools that need an approval, by name and arguments.

        Raises:
            RunFailed: there is no answer; its `code` says why.
            RuntimeError: an event loop runs here already; await `arun` instead.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.arun(message, session_id=session_id, max_steps=max_steps, approve=approve))
        raise RuntimeError("an event loop is running here; use: await agent.arun(...)")

    async def arun(
        self,
        message: str,
        *,
        session_id: str | None = None,
        max_steps: int | None = None,
        approve: Approve | None = None,
    ) -> RunResult:
        """Do what `run` does, on the running event loop. Cancelling it cancels the run."""
        return await self._embedded.run(self, self._request(message, session_id, max_steps), approve)

    def stream(
        self,
        message: str,
        *,
        session_id: str | None = None,
        max_steps: int | None = None,
        approve: Approve | None = None,
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Run as `arun` does and yield `(event name, data)`, the same as the API's streams, as they come.

        Ends with `run_completed`, `run_failed` or `run_cancelled`. Leaving it earlier cancels the run.
        """
        return self._embedded.stream(self, self._request(message, session_id, max_steps), approve)

    async def run_stream(
        self,
        prompt: str,
        *,
        session_id: str | None = None,
        max_steps: int | None = None,
        approve: Approve | None = None,
    ) -> AsyncGenerator[str, None]:
        """Run as `arun` does and yield the answer's text while it is made; the pieces are to be joined.

        Raises:
            RunFailed: there is no answer; its `code` says why.
        """
        request = self._request(prompt, session_id, max_steps)
        async with aclosing(self._embedded.texts(self, request, approve)) as texts:
            async for text in texts:
                yield text

    def serve(
        self,
        host: str = "0.0.0.0",  # noqa: S104 - what `serve` means where this interface comes from
        port: int = 8000,
        session_timeout: float = 3600,
        enable_cors: bool = True,
        allowed_origins: Sequence[str] = ("*",),
        log_level: str = "info",
        workers: int = 1,
    ) -> None:
        """Serve this agent over HTTP, with the UI and the API's description, until the process is stopped.

        Runs are kept in the store that the settings name. For several processes see `workers`.

        Args:
            host: Address to listen on; the default is every interface. While nothing says who may call
                (AGIO_API_KEYS, …), only this machine is served, unless AGIO_ALLOW_OPEN is set.
            port: TCP port.
            session_timeout: Seconds after its last use that a session of POST /chat or GET /stream expires.
            enable_cors: Let browsers call from other origins.
            allowed_origins: Which; `*` is all, without credentials.
            log_level: `critical`, `error`, `warning`, `info`, `debug` or `trace`.
            workers: 1. More processes cannot share an object: write `app = create_app(agents=[agent])` in a
                module and start it with `uvicorn module:app --workers 4`.

        Raises:
            Invalid: a setting is wrong, or `workers` is not 1.
            Conflict: the port is in use.
        """
        if workers != 1:
            raise Invalid(
                "an agent object lives in one process; for more write app = create_app(agents=[agent]) in a module "
                f"and start it with: uvicorn module:app --workers {workers}",
                field="workers",
            )
        settings = load_settings(
            host=host,
            port=port,
            workers=workers,
            reload=False,
            session_timeout_s=session_timeout,
            cors_origins=tuple(allowed_origins) if enable_cors else (),
            log_level=log_level,
            default_agent=self.id,
        )
        check_port(settings.host, settings.port)
        if settings.accepts_anyone and not settings.allow_open and not is_local(settings.host):
            log.warning("nobody is checked, so this machine alone is served; set AGIO_API_KEYS or AGIO_ALLOW_OPEN=true")
        # Scripts that only run an agent do without the web framework.
        from agio.api.app import create_app  # noqa: PLC0415

        runtime = make_runtime(settings, agents=[self])
        app = create_app(settings, title=self.name, runtime=runtime, enable_cors=enable_cors)
        uvicorn.run(app, **server_options(settings))

    def _request(self, message: str, session_id: str | None, max_steps: int | None) -> StartRequest:
        return StartRequest(agent_id=self.id, message=message, session_id=session_id, max_steps=max_steps)

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, id={self.id!r}, model={self.model!r})"
