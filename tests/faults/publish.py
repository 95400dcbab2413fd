"""`python -m tests.faults.publish PAGE …`: joins the pages of campaigns into docs/faults.md."""

import sys
from pathlib import Path

HEAD = """# The last campaigns of faults

Written by `make faults` and `python -m tests.faults.publish`; [what is done, and
why](reliability.md#the-fault-campaign). The workers, the database's nodes, the model, the endpoint with effects and
some hundred clients share one small machine, so times say what holds under that load, not what Agio can do
([performance](performance.md) does).

*Longest stall*: the longest time after the fault in which no reader of any run got any event. *Taken over*: runs that
were claimed because their owner was silent. *Repeated by clients*: requests and streams that a client had to begin
again; each was answered in the end.
"""


def main() -> None:
    pages = [Path(name).read_text().strip() for name in sys.argv[1:]]
    target = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
    target.write_text("\n\n".join([HEAD.strip(), *pages]) + "\n")


if __name__ == "__main__":
    main()
