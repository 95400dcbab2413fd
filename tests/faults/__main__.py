"""`python -m tests.faults --store mongodb --seconds 900 --seed 1 --report FILE`: a campaign; exit code 1 on a break."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import cast, get_args

from tests.faults import report
from tests.faults.campaign import Plan, kinds_of, run
from tests.faults.installation import StoreName


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--store", choices=get_args(StoreName), default="sqlite")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--live", type=int, default=30, help="runs that are kept alive")
    parser.add_argument("--lease", type=float, default=10.0)
    parser.add_argument("--drain", type=float, default=5.0)
    parser.add_argument(
        "--kinds", default="", help="faults by name, separated by commas; default: all, again and again"
    )
    parser.add_argument("--note", default="", help="what else the machine does, for the page")
    parser.add_argument("--report", type=Path, help="file to write the page to")
    parser.add_argument("--keep", type=Path, help="folder for logs and the database; default: a temporary one")
    chosen = parser.parse_args()
    store = cast(StoreName, chosen.store)
    kinds = [kind for kind in chosen.kinds.split(",") if kind]
    if unknown := set(kinds) - set(kinds_of(store)):
        parser.error(f"no fault of {store} is named {sorted(unknown)}; there are {', '.join(kinds_of(store))}")
    plan = Plan(
        store=store,
        seconds=chosen.seconds,
        seed=chosen.seed,
        kinds=kinds,
        live=chosen.live,
        lease_s=chosen.lease,
        drain_s=chosen.drain,
        note=chosen.note,
    )
    with tempfile.TemporaryDirectory(prefix="agio-faults-") as temporary:
        folder = chosen.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcome = asyncio.run(run(plan, folder.absolute()))
    page = report.write(outcome)
    print(page)
    if chosen.report is not None:
        chosen.report.write_text(page)
    return 1 if outcome.breaks else 0


if __name__ == "__main__":
    sys.exit(main())
