"""The HTTP surface as schemathesis sees it: no finding at all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT, serving

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
"""How many cases of fuzzing each operation gets; with any, it also gets every case of coverage, not each fourth."""
PHASES = ["examples", "coverage", "stateful", *(["fuzzing"] if EXAMPLES else [])]

SERVER = """
import os
import re
import uvicorn
from agio.api.app import create_app
from agio.bootstrap import make_runtime
from agio.providers.demo import DemoProvider
from agio.settings import Settings

settings = Settings(
    database_url="sqlite:///agio.db",
    api_keys=["a-key-with-more-than-20-characters"],
    jwt_secret="0123456789abcdef0123456789abcdef",
    auth_failures="1000000/1",
)
runtime = make_runtime(settings, providers=[DemoProvider(delay_s=0)])
uvicorn.run(create_app(settings, runtime=runtime), port=int(os.environ["AGIO_PORT"]), log_level="error")
"""
CONFIG = f"""
hooks = "tests.api.schemathesis_hooks"

[generation]
deterministic = true
database = "none"

[checks]
negative_data_rejection.expected-statuses = [400, 404, 405, 409, 413, 422]

[phases.fuzzing]
generation.max-examples = {max(EXAMPLES, 1)}

[phases.stateful]
generation.max-examples = 4

[[operations]]
include-operation-id = "followEvents"
enabled = false

[[operations]]
include-operation-id = "followWorkflow"
enabled = false

[[operations]]
include-operation-id = "followExecutionLogs"
enabled = false

[[operations]]
include-operation-id = "runEvents"
parameters = {{ follow = false }}
"""


@pytest.mark.slow
@pytest.mark.timeout(450 + 300 * EXAMPLES)
def test_schemathesis_finds_nothing(tmp_path: Path):
    """All checks, phases examples, coverage and stateful, one worker, the same cases each time.

    `make fuzz` has more cases of coverage, and the phase fuzzing. Left out:

    - `GET /api/events`: the stream does not end by itself;
    - `GET /api/workflows/{run_id}/events`: that of a paused run does not;
    - `GET /api/execution-logs/{execution_id}/stream`: likewise;
    - `GET /api/runs/{run_id}/events` with `follow=true`: that of a paused run does not either;
    - the checks `positive_data_acceptance` and `unsupported_method`, for ones that know our rules: see
      `schemathesis_hooks`.

    Callers are checked: schemathesis also sees that every operation refuses those without a key.

    413 counts as a refusal of invalid data: what is longer than its bound may be longer than a body may be.
    """
    (tmp_path / "serve.py").write_text(SERVER)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with serving(["serve.py"], tmp_path) as server:
        server.wait_for("/health/ready", 200)
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("run", f"{server.url}/openapi.json", "--no-color", "--continue-on-failure"),
            *("--header", "X-API-Key: a-key-with-more-than-20-characters"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance,unsupported_method"),
            *("--phases", ",".join(PHASES), "--workers", "1", "--request-timeout", "20"),
        ]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            timeout=430 + 300 * EXAMPLES,
            check=False,
        )
    (tmp_path / "findings.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    counts = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", done.stdout)
    assert counts is not None, done.stdout[-5_000:]
    selected, total, tested = map(int, counts.groups())
    assert selected == tested == total - 3  # all but the three streams
