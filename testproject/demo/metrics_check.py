"""Look at the worker's page of metrics: does it count what the database has?"""

from __future__ import annotations

import time
import urllib.request

from django_jobs.models import Attempt
from django_jobs.policy.outcomes import AttemptOutcome

from .checks import Check

SECONDS = 30


def look_at_metrics(url: str) -> Check:
    """Compare the succeeded runs of the page with the attempts that are stored; it counts just after the commit."""
    stored = Attempt.objects.filter(outcome=AttemptOutcome.SUCCEEDED).count()
    deadline = time.monotonic() + SECONDS
    while (counted := _count_succeeded(url)) != stored and time.monotonic() < deadline:
        time.sleep(0.1)
    what = f"the worker's metrics count {stored} runs that succeeded, as the database does"
    return Check(what=what, wrong="" if counted == stored else f"they count {counted:.0f}")


def _count_succeeded(url: str) -> float:
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(url, timeout=SECONDS) as response:
        families = text_string_to_metric_families(response.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "django_jobs_runs_total" and sample.labels["outcome"] == AttemptOutcome.SUCCEEDED
        )
