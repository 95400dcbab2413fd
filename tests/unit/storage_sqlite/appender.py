"""A process that appends until it is killed: `python appender.py URL`; prints a line per acknowledged batch.

Not a test; `test_killing` starts it.
"""

import asyncio
import sys

from agio.storage.port import StoreSettings
from agio.storage.sqlite import SQLiteStore, wal
from agio.testing.conformance.records import Owner, make_deltas, make_message, start

RUNS = 40


async def main(url: str) -> None:
    wal.CHANGES = 500  # so that some are killed while they write the log back
    store = SQLiteStore(StoreSettings(url=url, inline_limit=200))
    await store.open()
    owners: list[Owner] = [await start(store, "g") for _ in range(RUNS)]
    print("runs", *(owner.run.id for owner in owners), flush=True)
    batch = 0
    while True:
        batch += 1
        plain = [o.write(make_deltas(str(batch))) for o in owners[::2]]
        steps = [o.write(messages=(make_message("x" * 300),), checkpoint="step", step=batch) for o in owners[1::2]]
        await store.append([*plain, *steps])
        print("batch", batch, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
