"""A server with nothing to do does nothing."""

import asyncio

import pytest

from tests.e2e.client import Client, model
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

IDLE_S = 10


async def test_a_paused_run_costs_no_processor_time(client: Client, cluster: Cluster):
    run = await client.start(await client.agent(model=model(silent_s=60)))
    await client.call("POST", f"/runs/{run}/pause", {"mode": "now"}, expect=202)
    assert (await client.until(run, "paused"))["owner"] is None
    async with client.follow(run) as reader:
        await reader.saw("run_paused")
        before = cluster.cpu_s()
        await asyncio.sleep(IDLE_S)  # the time is what is measured
        spent_s = cluster.cpu_s() - before
    # Beats, polls and keep-alives of five processes; a busy loop in one of them would be IDLE_S.
    assert spent_s < 0.2 * IDLE_S
