"""Records of every kind of the catalog, to try stores with."""

from collections.abc import Callable
from typing import Any

from agio.domain.access import AccessKey, Permission, RevokedToken, Role, StreamToken, User
from agio.domain.agents import Agent
from agio.domain.branches import MessageEdit
from agio.domain.crew import Crew, CrewTask
from agio.domain.crews import StoredCrew, StoredTask
from agio.domain.duties import Duty
from agio.domain.ids import new_id
from agio.domain.llm_keys import LlmKey
from agio.domain.requests import KeyedRequest
from agio.domain.schedules import CrewWork, Fire, Schedule
from agio.domain.stored_models import StoredModel
from agio.domain.task_trees import Execution, Need, TaskPlace, TaskTree, TreeTask
from agio.domain.templates import Template
from agio.domain.tools import StoredTool
from agio.domain.webhooks import NEVER, Attempt, Delivery, Webhook
from agio.domain.windows import Window
from agio.storage.port import (
    ACCESS_KEYS,
    AGENT_VERSIONS,
    AGENTS,
    BRANCHES,
    CREWS,
    DELIVERIES,
    DUTIES,
    FIRES,
    LLM_KEYS,
    MODELS,
    REQUESTS,
    REVOKED_TOKENS,
    SCHEDULES,
    SESSIONS,
    STREAM_TOKENS,
    TASK_PLACES,
    TASK_TREES,
    TASKS,
    TEMPLATES,
    TOOLS,
    USERS,
    WEBHOOKS,
    WINDOWS,
    AgentVersion,
)
from agio.testing.conformance.records import instant, make_branch, make_message, make_session


def make_agent(group_id: str, *, at_s: float = 0, **fields: Any) -> Agent:
    """Return an agent."""
    fields = {"id": new_id(), "name": "Researcher", "provider": "demo", "model": "demo-1"} | fields
    return Agent(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **fields)


def make_tool(group_id: str, *, at_s: float = 0, **fields: Any) -> StoredTool:
    """Return a tool; its name is its id unless told otherwise."""
    fields = {"id": new_id(), "configuration": {"url": "https://x.test/{a.b}", "$h": {"é": [1]}}} | fields
    fields.setdefault("name", fields["id"])
    return StoredTool(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **fields)


def _make_version(group_id: str, *, at_s: float = 0, **fields: Any) -> AgentVersion:
    agent = make_agent(group_id, tags=("a",), params={"top_p": 0.5})
    fields = {"id": new_id(), "agent_id": agent.id} | fields
    return AgentVersion(group_id=group_id, version=1, agent=agent, created_at=instant(at_s), **fields)


def _make_request(group_id: str, *, at_s: float = 0, **fields: Any) -> KeyedRequest:
    usual: dict[str, Any] = {"fingerprint": "f", "resource_id": "r", "body": '{"a": "ü"}', "status": 201}
    return KeyedRequest(group_id=group_id, created_at=instant(at_s), **{"id": new_id()} | usual | fields)


def _make_session(group_id: str, *, at_s: float = 0, **fields: Any) -> Any:
    return make_session(group_id, at_s=at_s, **{"title": "Grüße\u2028", "metadata": {"a.b": {"$c": None}}} | fields)


def _make_branch(group_id: str, *, at_s: float = 0, **fields: Any) -> Any:
    edit = MessageEdit(position=0, message=make_message("edited"))
    return make_branch(group_id, "s", at_s=at_s, **{"edits": (edit,), "fork_position": 2, "kind": "fork"} | fields)


def _make_duty(group_id: str, *, at_s: float = 0, **fields: Any) -> Duty:
    return Duty(group_id=group_id, created_at=instant(at_s), **{"id": new_id(), "holder": "w"} | fields)


def make_user(group_id: str, *, at_s: float = 0, **fields: Any) -> User:
    """Return a user."""
    usual = {"id": new_id(), "password_hash": "$argon2id$x", "groups": ("a", "b"), "roles": (Role.VIEWER,)}
    times = {"created_at": instant(at_s), "updated_at": instant(at_s), "tokens_from": instant(at_s)}
    return User(group_id=group_id, **usual | times | fields)


def _make_access_key(group_id: str, *, at_s: float = 0, **fields: Any) -> AccessKey:
    usual: dict[str, Any] = {
        "id": new_id(),
        "name": "ci",
        "secret_hash": "f" * 64,
        "hint": "agio_1",
        "created_by": "ann",
    }
    more = {"scopes": (Permission.READ, Permission.RUN), "expires_at": instant(at_s + 9), "revoked_by": "bob"}
    return AccessKey(group_id=group_id, created_at=instant(at_s), **usual | more | fields)


def _make_stream_token(group_id: str, *, at_s: float = 0, **fields: Any) -> StreamToken:
    usual: dict[str, Any] = {"id": new_id(), "secret_hash": "f" * 64, "by": "ann", "run_id": "r"}
    times = {"created_at": instant(at_s), "expires_at": instant(at_s + 60)}
    return StreamToken(group_id=group_id, **usual | times | fields)


def _make_revoked(group_id: str, *, at_s: float = 0, **fields: Any) -> RevokedToken:
    return RevokedToken(group_id=group_id, created_at=instant(at_s), **{"id": new_id()} | fields)


def _make_llm_key(group_id: str, *, at_s: float = 0, **fields: Any) -> LlmKey:
    fields = {"id": new_id(), "provider": "openai", "name": "main", "user_id": "ann"} | fields
    usual = {"place": fields["id"], "sealed": "gAAAAé", "hint": "…1234", "created_by": "ann"}
    return LlmKey(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **usual | fields)


def _make_window(group_id: str, *, at_s: float = 0, **fields: Any) -> Window:
    return Window(group_id=group_id, created_at=instant(at_s), **{"id": new_id(), "counts": ((1, 2), (7, 1))} | fields)


def _make_webhook(group_id: str, *, at_s: float = 0, **fields: Any) -> Webhook:
    usual: dict[str, Any] = {"id": new_id(), "url": "https://x.test/é", "secret": "s", "headers": {"A": "b"}}
    return Webhook(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **usual | fields)


def make_delivery(group_id: str, *, at_s: float = 0, **fields: Any) -> Delivery:
    """Return a delivery that has been tried once."""
    usual: dict[str, Any] = {"id": new_id(), "webhook_id": "w", "run_id": "r", "epoch": 1, "after": 3, "body": "{}"}
    tried = (Attempt(at=instant(at_s), duration_ms=5, status=500),)
    times = {"created_at": instant(at_s), "next_at": instant(at_s)}
    return Delivery(group_id=group_id, **usual | times | {"attempts": tried} | fields)


def _make_schedule(group_id: str, *, at_s: float = 0, **fields: Any) -> Schedule:
    crew = Crew(name="é", tasks=(CrewTask(id="a", crew=Crew(name="in", tasks=(CrewTask(id="b"),))),))
    work = CrewWork(crew=crew, inputs={"a": [1]})
    usual: dict[str, Any] = {"id": new_id(), "name": "nightly", "cron": "0 3 * * *", "work": work}
    times = {"created_at": instant(at_s), "updated_at": instant(at_s), "next_at": NEVER}
    return Schedule(group_id=group_id, **usual | times | fields)


def _make_fire(group_id: str, *, at_s: float = 0, **fields: Any) -> Fire:
    usual: dict[str, Any] = {
        "id": new_id(),
        "schedule_id": "s",
        "tick": instant(at_s),
        "run_id": "r",
        "outcome": "failed",
        "error": "é",
    }
    return Fire(group_id=group_id, created_at=instant(at_s), **usual | fields)


def _make_stored_model(group_id: str, *, at_s: float = 0, **fields: Any) -> StoredModel:
    usual: dict[str, Any] = {"id": f"org/{new_id()}", "provider": "openai", "model": "gpt-é", "api_key_name": "main"}
    more = {"parameters": {"temperature": 0.5, "stop": ["x"]}, "created_by": "ann"}
    return StoredModel(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **usual | more | fields)


def _make_template(group_id: str, *, at_s: float = 0, **fields: Any) -> Template:
    fields = {"id": new_id()} | fields
    usual = {"name": fields["id"], "text": "Hällo {name}", "variables": ("name",), "created_by": "ann"}
    return Template(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **usual | fields)


def _make_crew(group_id: str, *, at_s: float = 0, **fields: Any) -> StoredCrew:
    usual: dict[str, Any] = {"id": new_id(), "name": "crew", "agents_yaml": {"é": [1]}, "tasks_yaml": "a:\n", **fields}
    return StoredCrew(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **usual)


def _make_task(group_id: str, *, at_s: float = 0, **fields: Any) -> StoredTask:
    fields = {"id": new_id(), "name": "task", "description": "é", "tools": ("a", "b")} | fields
    return StoredTask(group_id=group_id, created_at=instant(at_s), updated_at=instant(at_s), **fields)


def _make_task_tree(group_id: str, *, at_s: float = 0, **fields: Any) -> TaskTree:
    tasks = (
        TreeTask(id="root", name="é", inputs={"$a.b": [1, None]}, schemas={"method": "x"}, has_copy=True),
        TreeTask(id="leaf", name="l", parent_id="root", dependencies=(Need(id="root", required=False),)),
    )
    ran = Execution(run_id="r", task_ids=("root", "leaf"), revision=1, by="ann", at=instant(at_s))
    usual: dict[str, Any] = {"id": new_id(), "root_id": "root", "tasks": tasks, "executions": (ran,)}
    times = {"created_at": instant(at_s), "updated_at": instant(at_s)}
    return TaskTree(group_id=group_id, **usual | times | {"created_by": "ann"} | fields)


def _make_task_place(group_id: str, *, at_s: float = 0, **fields: Any) -> TaskPlace:
    return TaskPlace(group_id=group_id, created_at=instant(at_s), **{"id": new_id(), "tree_id": "t"} | fields)


MAKE: dict[str, Callable[..., Any]] = {
    AGENTS.name: make_agent,
    AGENT_VERSIONS.name: _make_version,
    SESSIONS.name: _make_session,
    BRANCHES.name: _make_branch,
    TOOLS.name: make_tool,
    REQUESTS.name: _make_request,
    DUTIES.name: _make_duty,
    USERS.name: make_user,
    ACCESS_KEYS.name: _make_access_key,
    STREAM_TOKENS.name: _make_stream_token,
    REVOKED_TOKENS.name: _make_revoked,
    LLM_KEYS.name: _make_llm_key,
    WINDOWS.name: _make_window,
    WEBHOOKS.name: _make_webhook,
    DELIVERIES.name: make_delivery,
    SCHEDULES.name: _make_schedule,
    FIRES.name: _make_fire,
    MODELS.name: _make_stored_model,
    TEMPLATES.name: _make_template,
    CREWS.name: _make_crew,
    TASKS.name: _make_task,
    TASK_TREES.name: _make_task_tree,
    TASK_PLACES.name: _make_task_place,
}
