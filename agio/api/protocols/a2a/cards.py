"""Agent cards: what an agent is, where and how it is talked to. Pure."""

from typing import Any

from a2a.compat.v0_3.conversions import to_compat_agent_card
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    APIKeySecurityScheme,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from google.protobuf.json_format import MessageToDict

from agio.domain.agents import PYTHON, Agent

BINDINGS = (("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "0.3"))
MODES = ("text/plain",)
OUTPUT_MODES = (*MODES, "application/json", "application/octet-stream")
"""Of agents written in Python."""
INPUT_MODES = (
    *(*MODES, "text/markdown", "text/csv", "text/html", "application/json", "application/pdf"),
    *("image/png", "image/jpeg", "image/gif", "image/webp"),
)
ANYTHING = "*/*"
"""What agents written in Python are given: they say themselves what they cannot take."""


def make_card(agent: Agent, url: str, *, checks: bool) -> AgentCard:
    """Return the card of an agent that answers at `url`; `checks`: its callers must say who they are."""
    skill = AgentSkill(
        id=agent.id, name=agent.name, description=agent.description or agent.name, tags=list(agent.tags) or ["chat"]
    )
    card = AgentCard(
        name=agent.name,
        description=agent.description or agent.name,
        version=str(agent.version),
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding=binding, protocol_version=version) for binding, version in BINDINGS
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
        default_input_modes=(*INPUT_MODES, ANYTHING) if agent.provider == PYTHON else INPUT_MODES,
        default_output_modes=OUTPUT_MODES if agent.provider == PYTHON else MODES,
        skills=[skill],
    )
    if checks:
        key = APIKeySecurityScheme(location="header", name="X-API-Key")
        bearer = HTTPAuthSecurityScheme(scheme="Bearer")
        card.security_schemes["apiKey"].CopyFrom(SecurityScheme(api_key_security_scheme=key))
        card.security_schemes["bearer"].CopyFrom(SecurityScheme(http_auth_security_scheme=bearer))
        for name in ("apiKey", "bearer"):
            card.security_requirements.append(SecurityRequirement(schemes={name: StringList()}))
    return card


def takes(card: AgentCard, media_type: str) -> bool:
    """Say whether an agent takes parts of a media type; of texts and images it takes all kinds."""
    kind, _, _ = media_type.partition(";")
    kind = kind.strip().lower()
    modes = set(card.default_input_modes)
    return not kind or kind in modes or ANYTHING in modes or kind.startswith(("text/", "image/"))


def card_1_0(card: AgentCard) -> dict[str, Any]:
    """Return the card as 1.0 has it: with the fields of 0.3 it would break its schema."""
    found: dict[str, Any] = MessageToDict(card)
    return found


def card_0_3(card: AgentCard) -> dict[str, Any]:
    """Return the card as 0.3 has it."""
    return to_compat_agent_card(card).model_dump(mode="json", by_alias=True, exclude_none=True)


def card_of_both(card: AgentCard) -> dict[str, Any]:
    """Return a card that clients of both versions understand."""
    found: dict[str, Any] = agent_card_to_dict(card)
    return found
