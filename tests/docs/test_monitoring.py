"""The page about monitoring has the metrics that the code has."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
import yaml
from django.test import Client

from django_jobs.contrib.prometheus.names import COUNTERS, GAUGES
from django_jobs.policy.outcomes import AttemptOutcome
from django_jobs.policy.schedule import TickOutcome
from django_jobs.web.tokens import create_token
from tests.databases import ROOT
from tests.factories import make_jobs

pytestmark = pytest.mark.one_version

PAGE = ROOT / "docs" / "how-to" / "monitoring.md"


def test_the_table_has_every_metric_with_its_type_and_labels() -> None:
    rows = re.findall(r"^\| `(django_jobs_\w+)` \| (\w+) \| ([^|]*)\| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows]
    assert shown == [(metric.name, metric.kind, metric.labels) for metric in (*GAUGES, *COUNTERS)]
    meanings = {name: re.findall(r"`(\w+)`", meaning) for name, _, _, meaning in rows}
    assert meanings["django_jobs_runs_total"] == [outcome.value for outcome in AttemptOutcome]
    assert meanings["django_jobs_ticks_total"] == [outcome.value for outcome in TickOutcome]


def _yaml_blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.django_db
def test_keda_finds_the_number_where_the_example_says() -> None:
    [block] = [block for block in _yaml_blocks() if "ScaledObject" in block]
    secret, authentication, scaled = yaml.safe_load_all(block)
    [trigger] = scaled["spec"]["triggers"]
    assert (trigger["type"], trigger["metadata"]["authMode"]) == ("metrics-api", "bearer")
    [reference] = authentication["spec"]["secretTargetRef"]
    assert (reference["parameter"], reference["name"]) == ("token", secret["metadata"]["name"])
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
    url = urlsplit(trigger["metadata"]["url"])
    _, text = create_token("keda", reads_metrics=True)
    for expected in (0, 3):
        answer = Client().get(f"{url.path}?{url.query}", headers={"authorization": f"Bearer {text}"}).json()
        assert answer[trigger["metadata"]["valueLocation"]] == expected
        make_jobs(3, queue_name="mail")


def test_every_alert_rule_is_explained() -> None:
    rules = yaml.safe_load((ROOT / "django_jobs" / "contrib" / "prometheus" / "alerts.yaml").read_text())
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| `(Jobs\w+)` \|", PAGE.read_text(), re.MULTILINE) == names
