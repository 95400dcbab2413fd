"""The engine of one process: the use cases over one store, and the worker."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from agio.domain.agents import Agent
from agio.domain.crews import StoredCrew, StoredTask
from agio.domain.errors import InvalidTransition, NotFound, StoreUnavailable
from agio.engine.agents import Agents
from agio.engine.caller import Caller
from agio.engine.commands import Commands
from agio.engine.continuing import Continuing
from agio.engine.conversations import Conversations
from agio.engine.executions import Executions
from agio.engine.generating import Generating
from agio.engine.hub import Published
from agio.engine.keyed import KeyedRequests
from agio.engine.keys import NO_STORED_KEYS, StoredKeys
from agio.engine.models import Models
from agio.engine.observer import NOBODY, Observer
from agio.engine.quota import NO_QUOTA, Quota
from agio.engine.reading import Reading
from agio.engine.records import Records
from agio.engine.scheduler import Scheduler
from agio.engine.schedules import Schedules
from agio.engine.sessions import Sessions
from agio.engine.settings import EngineSettings
from agio.engine.starting import Starting
from agio.engine.tail import Draining, Selection, tail, tail_many
from agio.engine.task_trees import TaskTrees
from agio.engine.templates import Templates
from agio.engine.tools import Tools
from agio.engine.trees import Trees
from agio.engine.webhooks import Webhooks
from agio.engine.worker import Worker
from agio.engine.workflows import Workflows
from agio.providers.base import Providers
from agio.storage.port import CREWS, TASKS, Store
from agio.tools.base import Toolbox
from agio.tools.net import GuardedClient

LEAVE_AGAIN_S = 1.0


class Engine:
    """Everything that an edge (HTTP, command line, script) needs."""

    def __init__(
        self,
        store: Store,
        providers: Providers,
        toolbox: Toolbox,
        settings: EngineSettings,
        agents: Iterable[Agent] = (),
        observer: Observer = NOBODY,
        quota: Quota = NO_QUOTA,
        client: GuardedClient | None = None,
        stored_keys: StoredKeys = NO_STORED_KEYS,
    ) -> None:
        client = client or GuardedClient()
        self.store = store
        self.providers = providers
        self.toolbox = toolbox
        self.settings = settings
        self.stored_keys = stored_keys
        self.worker = Worker(store, providers, toolbox, settings, observer, quota, client, stored_keys)
        self.agents = Agents(store, providers, toolbox, agents)
        self.starting = Starting(store, self.agents, self.worker, quota)
        self.continuing = Continuing(store, self.agents, self.worker, quota)
        self.commands = Commands(store, self.worker.notify, self.worker.keys, quota)
        self.reading = Reading(store, toolbox)
        self.keyed = KeyedRequests(store)
        self.sessions = Sessions(store, self.commands, self.reading, self.worker.hub)
        self.conversations = Conversations(store, self.sessions, self.reading)
        self.tools = Tools(store, toolbox)
        self.webhooks = Webhooks(store, self.agents, client, self.worker.dispatcher.wake)
        self.workflows = Workflows(store, self.agents, self.worker, quota)
        self.scheduler = Scheduler(store, settings, self.starting, self.workflows, self.commands, self.worker.id)
        self.worker.also("schedules", self.scheduler.work)
        self.schedules = Schedules(store, self.agents, self.workflows, self.scheduler)
        self.models = Models(store, providers)
        self.templates = Templates(store)
        self.generating = Generating(providers, self.agents, self.worker.keys, quota)
        self.trees = Trees(store, self.reading, self.worker.hub)
        self.crews: Records[StoredCrew] = Records(store, CREWS, "crew")
        self.tasks: Records[StoredTask] = Records(store, TASKS, "task")
        self.executions = Executions(store, self.reading)
        self.task_trees = TaskTrees(store, self.agents, toolbox, providers, self.workflows, self.continuing, self.trees)

    def tail(
        self, caller: Caller, run_id: str, *, after: int = 0, follow: bool = True
    ) -> AsyncGenerator[Published | Draining, None]:
        """Follow one run; see `engine.tail.tail`."""
        return tail(self.store, self.worker.hub, caller, run_id, after=after, follow=follow)

    def tail_many(self, caller: Caller, selection: Selection) -> AsyncGenerator[Published | Draining, None]:
        """Follow several runs; see `engine.tail.tail_many`."""
        return tail_many(self.store, self.worker.hub, caller, selection)

    async def leave(self, caller: Caller, run_id: str) -> None:
        """A reader left: a run that is not detached is cancelled with its last one in this process.

        While the store is away this waits for it.
        """
        while not self.worker.hub.count(run_id):
            try:
                run = await self.store.get_run(caller.group_id, run_id)
                if run.is_live and not run.detached:
                    await self.commands.cancel(caller, run_id, reason="client_left")
            except StoreUnavailable:
                await asyncio.sleep(LEAVE_AGAIN_S)
            except (NotFound, InvalidTransition):  # it ended meanwhile
                return
            else:
                return
