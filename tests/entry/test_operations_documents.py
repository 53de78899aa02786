"""The dashboard, the rules and the guide speak only of what there is, and leave nothing out."""

import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

import rewards
from rewards.alerts.model import AlertKind
from rewards.core.errors import Refusal
from rewards.infra import metrics
from rewards.infra.readiness import Part
from rewards.infra.settings import Settings

FOLDER = Path(__file__).parents[2] / "docs/operations"
GUIDE = (FOLDER / "monitoring.md").read_text()
SERIES = re.compile(r"\b(?:rewards|process)_[a-z_]+\b")
# What a scraper adds.
LABELS_OF_OTHERS = {"le", "job", "instance"}
SELECTOR = re.compile(r"\b((?:rewards|process)_[a-z_]+)\{([^}]*)\}")
CODE = re.compile(r'code="(\w+)"')
# Named in the guide and no series.
RATHER = {"rewards_"}


@pytest.fixture(scope="module")
def known() -> set[str]:
    for module in pkgutil.walk_packages(rewards.__path__, "rewards."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return metrics.names()


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    return found


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alert-rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries(dashboard: dict[str, Any], rules: list[dict[str, Any]]) -> list[str]:
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return [*shown, *(rule["expr"] for rule in rules)]


def labels_of(name: str) -> set[str]:
    for family in metrics.REGISTRY._collector_to_names:
        names = metrics.REGISTRY._collector_to_names[family]
        if name in names:
            return set(getattr(family, "_labelnames", ()))
    return set()


def test_every_query_asks_for_series_and_labels_that_exist(
    known: set[str], dashboard: dict[str, Any], rules: list[dict[str, Any]]
) -> None:
    asked = queries(dashboard, rules)
    assert len(asked) > 50
    for query in asked:
        named = set(SERIES.findall(query))
        assert named <= known or query.startswith("up{"), (named - known, query)
        # Grafana fills in what it writes with a dollar.
        promql_parser.parse(query.replace("$__rate_interval", "5m"))
        for name, inside in SELECTOR.findall(query):
            wanted = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", inside))
            assert wanted - LABELS_OF_OTHERS <= labels_of(name), (name, wanted)
        for by in re.findall(r"by \(([^)]*)\)", query):
            wanted = {part.strip() for part in by.split(",")} - LABELS_OF_OTHERS
            held = set().union(*(labels_of(name) for name in named))
            assert wanted <= held, (wanted - held, query)


def test_every_code_that_is_asked_for_or_told_is_one_of_ours(
    dashboard: dict[str, Any], rules: list[dict[str, Any]]
) -> None:
    codes = {getattr(each, "code", None) for each in _below(Refusal)}
    asked = {code for query in queries(dashboard, rules) for code in CODE.findall(query)}
    [line] = [line for line in GUIDE.splitlines() if line.startswith("| `rewards_refusals_total`")]
    told = set(re.findall(r"`([A-Z_]+)`", line))
    assert len(asked) == len(told) == 2
    assert asked | told <= codes, (asked | told) - codes


def _below(kind: type[Refusal]) -> set[type[Refusal]]:
    return {kind}.union(*(_below(each) for each in kind.__subclasses__()))


def test_every_panel_can_be_drawn(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in ("row", "stat", "timeseries")
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["targets"]
            assert panel["description"].endswith(".")
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${source}"}
    spots = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(spots)) == len(spots)


def test_every_rule_says_what_to_do(rules: list[dict[str, Any]]) -> None:
    anchors = {
        heading.lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    }
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["guide"].partition("#")
        assert page == "monitoring.md"
        assert anchor in anchors, anchor


def test_the_guide_leaves_nothing_out(known: set[str]) -> None:
    ours = {name for name in known if name.startswith("rewards_") and "_test_" not in name}
    suffixes = re.compile(r"_(bucket|count|sum)$")
    told = set(SERIES.findall(GUIDE)) - RATHER
    assert told <= known, told - known
    families = {suffixes.sub("", name) for name in ours}
    families = {n for n in families if f"{n}_total" not in ours}
    assert families <= told, families - told
    for kind in AlertKind:
        assert f"### {kind}\n" in GUIDE
    for part in Part:
        assert f"`{part}`" in GUIDE
    settings = {f"REWARDS_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"REWARDS_[A-Z_]+", GUIDE))
    assert named <= settings, named - settings
    wanted = {n for n in settings if n.startswith(("REWARDS_ALERT_", "REWARDS_METRICS_"))}
    assert wanted <= named, wanted - named


def test_no_figure_has_a_label_that_could_name_somebody(known: set[str]) -> None:
    labels = {label for name in known for label in labels_of(name)}
    assert not labels & {"client", "client_id", "order_id", "id", "address", "username", "email"}
    # The scraper's own would be renamed.
    assert not labels & {"job", "instance"}
