"""MongoDB as Agio's database: standalone, replica set or sharded cluster, 6.0 and newer."""

from agio.storage.mongo.store import MongoStore

__all__ = ["MongoStore"]
