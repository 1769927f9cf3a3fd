"""A project written for Celery does the same here, its imports changed and nothing else; Celery's part was recorded."""

from __future__ import annotations

from types import ModuleType

import pytest

from django_jobs.contrib.celery import current_app
from django_jobs.models import Job
from django_jobs.schedules import all_schedules
from django_jobs.testing import drain
from tests.contrib.celery.imports import ORIGINAL, changed
from tests.contrib.celery.recorded import recorded


def test_the_project_knows_nothing_of_this_package() -> None:
    texts = [path.read_text() for path in sorted((ORIGINAL / "bakery").glob("*.py"))]
    assert sum(text.count("@shared_task") + text.count("@app.task") for text in texts) >= 15
    assert not any("django_jobs." in text for text in texts)
    lines = [line for text in texts for line in text.splitlines()]
    rewritten = [line for text in texts for line in changed(text).splitlines()]
    different = [new for old, new in zip(lines, rewritten, strict=True) if old != new]
    assert different
    assert all(
        line.lstrip().startswith(("from django_jobs.contrib.celery", "import django_jobs")) for line in different
    )


@pytest.mark.django_db
def test_jobs_of_the_project_end_as_its_tasks_do_under_celery(
    bakery: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="bakery.base")
    seen: dict[str, list[str]] = {}
    for label, call in bakery.CASES.items():
        caplog.clear()
        result = call()
        drain(run_scheduled=True)
        diary = [record.getMessage() for record in caplog.records if record.name == "bakery.base"]
        seen[label] = [*diary, f"{result.state} {result.result!r}"]
    for label, call in bakery.GROUPS.items():
        result = call()
        drain(run_scheduled=True)
        seen[label] = [f"{result.get()!r}"]
    assert seen == recorded()


def test_eager_calls_of_the_project_are_as_under_celery(bakery: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    current_app.conf.task_always_eager = True
    caplog.set_level("INFO", logger="bakery.base")
    seen: dict[str, list[str]] = {}
    for label, call in bakery.CASES.items():
        caplog.clear()
        result = call()
        diary = [record.getMessage() for record in caplog.records if record.name == "bakery.base"]
        seen[label] = [*diary, f"{result.state} {result.result!r}"]
    seen |= {label: [f"{call().get()!r}"] for label, call in bakery.GROUPS.items()}
    assert seen == recorded()


@pytest.mark.django_db
def test_jobs_of_the_project_have_the_queues_and_attempts_of_its_tasks(bakery: ModuleType) -> None:
    def values(label: str) -> tuple[str, str, int, int]:
        job = bakery.CASES[label]().job
        return job.name, job.queue_name, job.priority, job.max_attempts

    assert values("bake") == ("bakery.tasks.bake", "bakery", 0, 4)
    assert values("sell in vain") == ("bakery.tasks.sell", "counter", 7, 4)
    assert values("sell") == ("bakery.tasks.sell", "market", 9, 4)
    assert values("by name") == ("bakery.reports.count", "reports", 0, 4)
    assert values("last automatic retry") == ("bakery.tasks.heat_in_vain", "bakery", 0, 3)
    assert values("retries exceeded") == ("bakery.tasks.order_water", "bakery", 0, 10_000)


@pytest.mark.django_db
def test_a_chord_is_one_graph_of_jobs(bakery: ModuleType) -> None:
    result = bakery.CASES["chord"]()
    assert Job.objects.count() == 5
    body = result.job
    assert (body.name, body.state) == ("bakery.total", "blocked")
    assert [each.job.state for each in result.parent.results] == ["ready"] * 4


def test_beat_schedule_becomes_schedules(bakery: ModuleType) -> None:
    found = {one.name: one for one in all_schedules() if one.origin == "app 'bakery'"}
    assert sorted(found) == ["bake at night", "count", "open the shop"]
    night, count, shop = (found[name].spec() for name in sorted(found))
    assert (night.job_name, night.queue_name, night.arguments) == (
        "bakery.tasks.bake",
        "night",
        {"kind": "rye", "number": 2},
    )
    assert (night.timing.cron, night.timing.timezone) == ("30 3,4 * * mon-fri", "Europe/Berlin")
    assert night.expires is not None
    assert night.expires.total_seconds() == 600
    assert (count.job_name, count.queue_name, count.timing.every) == (
        "bakery.reports.count",
        "reports",
        count.timing.every,
    )
    assert count.timing.every is not None
    assert count.timing.every.total_seconds() == 600
    assert shop.arguments == {"when": "morning"}
