"""The dashboard and the alert rules name metrics, labels and values that the code has, and use every metric."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from django_jobs.contrib.prometheus.names import COUNTERS, DATABASE_LABEL, GAUGES
from django_jobs.policy.outcomes import AttemptOutcome
from django_jobs.policy.schedule import TickOutcome
from django_jobs.policy.states import State
from tests.databases import ROOT

pytestmark = pytest.mark.one_version

FOLDER = ROOT / "django_jobs" / "contrib" / "prometheus"
METRICS = {series: metric for metric in (*GAUGES, *COUNTERS) for series in metric.series}
VALUES = {
    "django_jobs_jobs": {"state": {State.READY, State.RUNNING, State.SCHEDULED}},
    "django_jobs_slots": {"state": {"busy", "idle"}},
    "django_jobs_runs_total": {"outcome": set(AttemptOutcome)},
    "django_jobs_ticks_total": {"outcome": set(TickOutcome)},
}
SELECTOR = re.compile(r"(django_jobs_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'^(\w+)(=~|=)"([^"]*)"$')
WORDS = re.compile(r"\b(by|on)\s*\(([^)]*)\)")
DURATION = re.compile(r"\d+[smhd]")


def _dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
    return board


def _groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return groups


def _of_dashboard() -> list[str]:
    return [target["expr"] for panel in _dashboard()["panels"] for target in panel["targets"]]


def _of_alerts() -> list[str]:
    return [rule["expr"] for group in _groups() for rule in group["rules"]]


@pytest.mark.parametrize("expression", [*_of_dashboard(), *_of_alerts()])
def test_an_expression_names_what_exists(expression: str) -> None:
    selectors = SELECTOR.findall(expression)
    assert selectors
    known = {"le", DATABASE_LABEL}  # without it, all series are one group
    for series, matchers in selectors:
        metric = METRICS[series]
        known |= set(metric.labels)
        for matcher in filter(None, re.split(r",\s*", matchers)):
            label, operator, value = MATCHER.match(matcher).groups()  # type: ignore[union-attr]
            assert label in metric.labels, matcher
            if not value.startswith("$"):
                words = value.split("|") if operator == "=~" else [value]
                assert set(words) <= VALUES[series][label], matcher
    for _, labels in WORDS.findall(expression):
        assert set(re.findall(r"\w+", labels)) <= known, labels
    assert [expression.count(one) for one in "([{"] == [expression.count(one) for one in ")]}"]
    counted = [METRICS[series].kind != "gauge" for series, _ in selectors]
    new = 2 * expression.count("offset")  # a counter that was not there before has no increase yet
    assert len(re.findall(r"\b(?:rate|increase)\(", expression)) == sum(counted) - new, "counters only through a rate"


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {METRICS[series].name for expression in _of_dashboard() for series, _ in SELECTOR.findall(expression)}
    assert shown == {metric.name for metric in METRICS.values()}


def test_the_dashboard_can_be_imported() -> None:
    board = _dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "queue"]
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells), "no panel lies over another"
    assert max(x for x, _ in cells) < 24
    labels = {
        name for panel in panels for one in panel["targets"] for name in re.findall(r"{{(\w+)}}", one["legendFormat"])
    }
    assert labels <= {label for metric in METRICS.values() for label in metric.labels}


def test_the_rules_have_what_prometheus_wants() -> None:
    [group] = _groups()
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert DURATION.fullmatch(rule.get("for", "0m")), rule["alert"]
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        kept = {name for _, names in WORDS.findall(rule["expr"]) for name in re.findall(r"\w+", names)}
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert used <= kept, f"{rule['alert']}: the expression does not keep these labels"
