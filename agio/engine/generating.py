"""Drafts: something structured is asked of a model, checked, and asked for once more if it does not hold.

What shape a draft has is its caller's business. No run is made: nothing of it is kept.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from agio.domain.agents import AgentSnapshot
from agio.domain.errors import Invalid, ProviderError
from agio.domain.ids import new_id
from agio.domain.messages import Message
from agio.domain.metrics import Usage
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.keys import RunKeys
from agio.engine.quota import NO_QUOTA, Quota, check
from agio.providers.base import FinishPart, ModelRequest, Provider, Providers, TextPart, UsagePart

T = TypeVar("T")

LIMIT_S = 120.0
"""For all of it, the second attempt included."""
MAX_CHARS = 200_000
"""Of one answer; a draft is never as long."""
TEMPERATURE = 0.2
UNUSABLE = "answer_unusable"
"""Code of the error that says that a model did not give what was asked, twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Generic[T]):
    """What a model is asked for."""

    name: str
    """Of the shape: letters and `_`."""
    system: str
    question: str
    schema: dict[str, Any]
    """JSON Schema of the answer, an object."""
    parse: Callable[[dict[str, Any]], T]
    """Checks an answer; raises `Invalid` with a text that tells the model what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(Generic[T]):
    """What a model made of it."""

    value: T
    provider: str
    model: str
    is_demo: bool
    """No real model was asked."""
    is_repaired: bool
    """The first answer did not hold."""
    usage: Usage


class Generating:
    """Asks for drafts."""

    def __init__(self, providers: Providers, agents: Agents, keys: RunKeys, quota: Quota = NO_QUOTA) -> None:
        self._providers = providers
        self._agents = agents
        self._keys = keys
        self._quota = quota

    async def draft(self, caller: Caller, wish: Wish[T], *, provider: str, model: str) -> Draft[T]:
        """Ask a model, and once more if its answer does not hold.

        Args:
            model: a stored model's name, or what the provider calls its own.

        Raises:
            ProviderError: the endpoint failed; or `answer_unusable`: neither answer holds.
            QuotaExceeded: the group has spent its tokens.
        """
        await check(self._quota, caller.group_id)
        named = AgentSnapshot(agent_id="generation", version=1, provider=provider, model=model)
        snapshot = await self._agents.resolve(caller, named)
        limit = asyncio.timeout(LIMIT_S)
        try:
            async with limit:
                return await self._draft(caller, wish, snapshot)
        except TimeoutError as error:
            if not limit.expired():
                raise
            text = f"the model did not answer within {LIMIT_S:g} s"
            raise ProviderError(text, code="provider_timeout", retryable=True) from error

    async def _draft(self, caller: Caller, wish: Wish[T], snapshot: AgentSnapshot) -> Draft[T]:
        endpoint = self._providers.get(snapshot.provider)
        request = replace(
            _request(wish, snapshot),
            api_key=await self._keys.of_caller(caller, snapshot.provider, snapshot.api_key_name),
        )
        usage = Usage()
        wrong = ""
        for attempt in range(2):
            text, spent = await self._ask(caller, endpoint, request)
            usage = usage.plus(spent)
            try:
                value = wish.parse(_read_object(text))
            except Invalid as error:
                wrong = str(error)
                request = replace(request, messages=[*request.messages, *_complaint(text, wrong)])
                continue
            return Draft(
                value=value,
                provider=snapshot.provider,
                model=snapshot.model,
                is_demo=endpoint.is_demo,
                is_repaired=attempt > 0,
                usage=usage,
            )
        raise ProviderError(f"the model's answer does not hold, twice: {wrong}", code=UNUSABLE, retryable=True)

    async def _ask(self, caller: Caller, endpoint: Provider, request: ModelRequest) -> tuple[str, Usage]:
        try:
            text, usage = await _collect(endpoint, request)
        except ProviderError as error:
            if error.code != "provider_rejected" or "response_format" not in request.params:
                raise
            # Not every endpoint knows that member; the shape stands in the prompt too.
            rest = {name: value for name, value in request.params.items() if name != "response_format"}
            text, usage = await _collect(endpoint, replace(request, params=rest))
        await self._quota.spend(caller.group_id, usage.total_tokens)
        return text, usage


def _request(wish: Wish[Any], snapshot: AgentSnapshot) -> ModelRequest:
    shape = json.dumps(wish.schema, ensure_ascii=False)
    system = f"{wish.system}\n\nAnswer with one JSON object that fits this JSON Schema, and nothing else:\n{shape}"
    wanted = {"type": "json_schema", "json_schema": {"name": wish.name, "schema": wish.schema}}
    return ModelRequest(
        model=snapshot.model,
        messages=[_message("system", system), _message("user", wish.question)],
        temperature=TEMPERATURE if snapshot.temperature is None else snapshot.temperature,
        max_tokens=snapshot.max_tokens,
        params=snapshot.params | {"response_format": wanted},
    )


def _message(role: Any, text: str) -> Message:
    return Message(id=new_id(), role=role, content=text)


def _complaint(text: str, wrong: str) -> Sequence[Message]:
    wish = f"That cannot be used: {wrong}\nAnswer again, with the whole corrected JSON object and nothing else."
    return [_message("assistant", text or "(nothing)"), _message("user", wish)]


async def _collect(endpoint: Provider, request: ModelRequest) -> tuple[str, Usage]:
    """Return the whole answer and what it cost. Raises `ProviderError`."""
    texts: list[str] = []
    usage, finish, chars = Usage(), None, 0
    async with endpoint.stream(request) as batches:
        async for batch in batches:
            for part in batch:
                match part:
                    case TextPart():
                        texts.append(part.text)
                        chars += len(part.text)
                    case UsagePart():
                        usage = part.usage
                    case FinishPart():
                        finish = part.reason
            if chars > MAX_CHARS:
                finish = "length"
                break
    if finish is None:
        text = "the model's stream ended before the answer did"
        raise ProviderError(text, code="provider_stream_broken", retryable=True)
    return "".join(texts), usage


def _read_object(text: str) -> dict[str, Any]:
    """Return the object in an answer, be it in a code fence or between words. Raises `Invalid`."""
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise Invalid("it holds no JSON object")
    try:
        found = json.loads(text[begin : end + 1])
    except (ValueError, RecursionError) as error:
        raise Invalid(f"it is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise Invalid("it is not a JSON object")
    return found
