"""The dashboard asks for what the server tells."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agio.testing.provider import ScriptedProvider
from tests.api.serving import serving

FILE = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "agio.json"
DASHBOARD = json.loads(FILE.read_text(encoding="utf-8"))
_MADE_OF_A_HISTOGRAM = ("_bucket", "_sum", "_count")


def _queries() -> list[tuple[str, str]]:
    panels = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    variables = [(one["name"], one["definition"]) for one in DASHBOARD["templating"]["list"] if "definition" in one]
    return panels + variables


async def _told(folder: Path) -> dict[str, set[str]]:
    """Return `{name: labels}` of every metric that a server tells; of no labels where nothing was counted yet."""
    async with serving(folder, ScriptedProvider(["hi"])) as api:
        await api.chat()
        text = (await api.client.get("/metrics")).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        names = {
            "counter": [f"{family.name}_total"],
            "histogram": [f"{family.name}{end}" for end in _MADE_OF_A_HISTOGRAM],
        }.get(family.type, [family.name])
        for name in names if not family.name.endswith("_created") else ():
            found[name] = {label for sample in family.samples for label in sample.labels if sample.name == name}
    return found


async def test_every_metric_that_it_names_exists(tmp_path: Path):
    told = await _told(tmp_path)
    named = {(title, name) for title, query in _queries() for name in re.findall(r"\bagio_\w+", query)}
    assert len(named) > 20
    assert [one for one in sorted(named) if one[1] not in told] == []


async def test_every_metric_that_the_server_tells_is_on_it(tmp_path: Path):
    told = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in await _told(tmp_path)}
    asked = " ".join(query for _, query in _queries())
    left_out = {name for name in told if name.startswith("agio_") and name not in asked}
    assert left_out == set()


async def test_figures_are_grouped_by_labels_that_exist(tmp_path: Path):
    told = await _told(tmp_path)
    for title, query in _queries():
        names = set(re.findall(r"\bagio_\w+", query))
        by = {label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.replace(" ", "").split(",")}
        for name in names:
            assert not told[name] or by <= told[name] | {"le"}, f"{title}: {query}"


@pytest.mark.parametrize("panel", [p for p in DASHBOARD["panels"] if p["type"] != "row"], ids=lambda p: p["title"])
def test_panels_lie_side_by_side_and_draw_from_the_chosen_source(panel: dict):
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    others = [p["gridPos"] for p in DASHBOARD["panels"] if p is not panel]
    assert (place["x"], place["y"]) not in {(other["x"], other["y"]) for other in others}
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
