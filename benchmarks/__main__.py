"""`make bench`: measure what architecture section 9 asks for; ratios in one run, nothing asserted."""

import argparse
import os
import platform
from collections.abc import Callable
from pathlib import Path

from benchmarks import commands, crowds, growing, keeping, stepping, streaming
from benchmarks.report import Table
from benchmarks.setting import Setting, prepared

SCENARIOS: dict[str, Callable[[Setting], Table]] = {
    "throughput": streaming.throughput,
    "latency": streaming.latency,
    "paced": streaming.paced,
    "tools": commands.tool_rounds,
    "steps": stepping.steps,
    "commands": commands.commands,
    "takeover": commands.takeover,
    "drain": commands.drain,
    "subscribers": crowds.subscribers,
    "paused": crowds.paused,
    "sizes": keeping.sizes,
    "replay": keeping.replay,
    "growth-runs": growing.runs,
    "growth-steps": growing.steps,
    "growth-readers": growing.readers,
    "growth-workers": growing.workers,
    "growth-streams": growing.streams,
}


def main() -> None:
    """Run the scenarios that were named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller runs")
    parser.add_argument("--write", type=Path, help="write the tables to this file, in Markdown")
    options = parser.parse_args()
    chosen = options.scenario or list(SCENARIOS)
    tables = []
    with prepared(quick=options.quick) as setting:
        for name in chosen:
            print(f"{name}: {SCENARIOS[name].__doc__}", flush=True)
            tables.append(SCENARIOS[name](setting))
    if options.write:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
        options.write.write_text(f"Machine: {machine}.\n\n" + "\n".join(t.markdown() for t in tables), encoding="utf-8")


if __name__ == "__main__":
    main()
