"""The connection: client options, concerns, what the server can do, and names for its failures."""

import itertools
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from agio.domain.errors import AgioError, Invalid, StoreUnavailable, Unsupported
from agio.storage.mongo.commits import Commits
from agio.storage.mongo.failures import MONGO_ERRORS, outside_name, secrets_of, unusable_url
from agio.storage.mongo.gathering import Gathering
from agio.storage.port import StoreSettings

Document: TypeAlias = dict[str, Any]
Client: TypeAlias = AsyncMongoClient[Document]
Collection: TypeAlias = AsyncCollection[Document]

DEFAULT_DATABASE = "agio"

OPEN_TIMEOUT_S = 5.0
"""How long opening and a ping wait for a server: a wrong address shall be told soon."""

OLDEST_WIRE = 17
"""Wire version of MongoDB 6.0."""

CLIENT_DEFAULTS: Mapping[str, Any] = {
    "appname": "agio",
    # With PyMongo's own defaults a client hangs for as long as a frozen primary is frozen, although the
    # others have elected a new one.
    "connectTimeoutMS": 2_000,
    "heartbeatFrequencyMS": 1_000,
    "serverSelectionTimeoutMS": 10_000,
    "timeoutMS": 10_000,
    "waitQueueTimeoutMS": 5_000,
    "maxPoolSize": 100,
}
"""Options of the client; the URL may override each."""

WATCH_OPTIONS: Mapping[str, Any] = {"timeoutMS": None, "socketTimeoutMS": 10_000, "maxPoolSize": 2}
"""Options of the client for change streams: its cursors wait on purpose, and longer than other calls may."""


class Database:
    """The database that a store lives in. Collections come by name: `database["runs"]`."""

    def __init__(self, settings: StoreSettings, client: Client | None = None) -> None:
        options = dict(settings.options)
        self._url = settings.url
        self._given = client
        self._client: Client | None = None
        self._database: AsyncDatabase[Document] | None = None
        self._collections: dict[str, Collection] = {}
        self._lookups: dict[tuple[str, tuple[str, ...]], Gathering[str, Document]] = {}
        """By collection and fields."""
        self._secrets = secrets_of(settings.url)
        self._stamps = itertools.count(int.from_bytes(os.urandom(7)))
        self.hello: Document = {}
        self.writer = os.urandom(6).hex()
        """Names this store in what it writes, so that its own change stream can leave it out."""
        self.commits = Commits(float(options.pop("retry_s", 15.0)))
        if options:
            raise Invalid(f"unknown options of a MongoDB store: {sorted(options)}", field="options")

    def __getitem__(self, name: str) -> Collection:
        collection = self._collections.get(name)
        if collection is None:
            if self._database is None:
                raise StoreUnavailable("the MongoDB store is not open")
            collection = self._collections[name] = self._database.get_collection(name)
        return collection

    @property
    def is_open(self) -> bool:
        return self._database is not None

    @property
    def has_change_streams(self) -> bool:
        """Say whether the server is a member of a replica set or a router of a sharded cluster."""
        return "setName" in self.hello or self.hello.get("msg") == "isdbgrid"

    async def open(self) -> None:
        """Connect and look at the server.

        Raises:
            Invalid: the URL is not one.
            Unsupported: the server is too old.
            StoreUnavailable: nobody answers.
        """
        client = self._given or self._new_client({})
        try:
            database = _majority(client, self._url)
            self.hello = await self._say_hello(client)
            wire = self.hello.get("maxWireVersion", OLDEST_WIRE)
            if wire < OLDEST_WIRE:
                raise Unsupported(f"MongoDB 6.0 or newer is needed; this server's wire version is {wire}")
        except BaseException:
            if self._given is None:
                await client.close()
            raise
        self.commits.attempt_s = client.options.timeout or self.commits.attempt_s
        self._client, self._database = client, database

    async def close(self) -> None:
        """Finish what is under way and disconnect; a client that was given stays open."""
        await self.commits.drain()
        client, self._client, self._database = self._client, None, None
        self._collections.clear()
        if client is not None and client is not self._given:
            await client.close()

    async def look_up(self, collection: str, key: str, *fields: str) -> Document | None:
        """Return the document with this key, or these fields of it; None where there is none. It is not to be changed.

        Look-ups of many tasks at the same moment are one call.
        """
        lookups = self._lookups.get((collection, fields))
        if lookups is None:
            lookups = self._lookups[collection, fields] = Gathering(partial(self._documents, collection, fields))
        return await lookups.get(key)

    async def _documents(self, collection: str, fields: Sequence[str], found: Sequence[str]) -> dict[str, Document]:
        wanted = {"_id": found[0] if len(found) == 1 else {"$in": list(found)}}
        documents = self[collection].find(wanted, list(fields) or None)
        return {document["_id"]: document for document in await documents.to_list(None)}

    async def ping(self) -> None:
        """Return when the server answers, or raise a PyMongo error soon."""
        with pymongo.timeout(OPEN_TIMEOUT_S):
            await self._opened().admin.command("ping")

    async def now(self) -> datetime:
        """Return the primary's clock."""
        self.hello = await self._say_hello(self._opened())
        return self.hello.get("localTime") or datetime.now(UTC)

    def watcher(self) -> tuple[AsyncDatabase[Document], Client | None]:
        """Return a database to open change streams on, and the client to close afterwards, if any."""
        client = self._given or self._new_client(WATCH_OPTIONS)
        return _majority(client, self._url), client if self._given is None else None

    def stamp(self) -> int:
        """Return a number that marks one write, to find out later whether it happened."""
        return next(self._stamps)

    def named(self, error: Exception) -> AgioError:
        """Return the error of the domain that stands for `error`."""
        return outside_name(error, self._secrets)

    def cause(self, error: Exception) -> Exception | None:
        """Return `error` to be chained, or None when its text has the password in it."""
        return None if any(secret in str(error) for secret in self._secrets) else error

    def _opened(self) -> Client:
        if self._client is None:
            raise StoreUnavailable("the MongoDB store is not open")
        return self._client

    def _new_client(self, options: Mapping[str, Any]) -> Client:
        in_url = {name.lower() for name, _ in parse_qsl(self._url.partition("?")[2])}
        defaults = {name: value for name, value in CLIENT_DEFAULTS.items() if name.lower() not in in_url}
        try:
            with warnings.catch_warnings():
                # PyMongo only warns of an option that it does not know or understand.
                warnings.simplefilter("error", UserWarning)
                return AsyncMongoClient(self._url, tz_aware=True, **{**defaults, **options})
        except (PyMongoError, ValueError, UserWarning) as error:
            raise unusable_url(error, self._url) from None

    async def _say_hello(self, client: Client) -> Document:
        try:
            with pymongo.timeout(OPEN_TIMEOUT_S):
                return await client.admin.command("hello")
        except NotImplementedError:  # a mock: a standalone server with this machine's clock
            return {}
        except ConfigurationError as error:
            raise unusable_url(error, self._url) from None
        except MONGO_ERRORS as error:
            raise self.named(error) from self.cause(error)


def _majority(client: Client, url: str) -> AsyncDatabase[Document]:
    """Return the database with the concerns that Agio's promises rest on, whatever the URL says."""
    try:
        name = client.get_default_database(DEFAULT_DATABASE).name
    except (PyMongoError, ValueError) as error:
        raise unusable_url(error, url) from None
    return client.get_database(
        name,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern("majority"),
        read_concern=ReadConcern("majority"),
    )
