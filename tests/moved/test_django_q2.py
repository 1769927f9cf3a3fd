"""The shop does the same on django-q2 and here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import modify_settings, override_settings

from django_jobs.models import CronSchedule
from django_jobs.testing import drain
from django_jobs.worker.duties.scheduler import sync_code_schedules

pytestmark = pytest.mark.django_db(transaction=True)
DONE = [
    ("confirmed", (7, "de")),
    ("filed", "invoice-7.pdf"),
    ("reserved", 7),
    ("shipped", 7),
]


@pytest.fixture
def original(load: Callable[[str], ModuleType]) -> Iterator[ModuleType]:
    """The original, on django-q2 as its users test: each task runs at once; with its tables."""
    pytest.importorskip("django_q", reason="installed on one version of Python only")
    cluster = {"name": "shop", "orm": "default", "sync": True, "timeout": 30, "retry": 60}
    with override_settings(Q_CLUSTER=cluster), modify_settings(INSTALLED_APPS={"append": "django_q"}):
        found = [model for model in apps.get_app_config("django_q").get_models() if not model._meta.proxy]
        with connection.schema_editor() as editor:
            for model in found:
                editor.create_model(model)
        try:
            yield load("django_q2.original")
        finally:
            for model in [*admin.site._registry]:
                if model._meta.app_label == "django_q":
                    admin.site.unregister(model)
            with connection.schema_editor() as editor:
                for model in found:
                    editor.delete_model(model)


def test_the_original_does_its_work(original: ModuleType, done: list[Any]) -> None:
    original.place(7)
    assert original.total(original.weigh_all([1, 2, 3])) == 60
    original.install_schedules()

    from django_q.models import Schedule

    assert sorted(done) == DONE
    assert list(Schedule.objects.order_by("name").values_list("name", "cron", "minutes")) == [
        ("morning", "0 6 * * 1-5", None),
        ("often", None, 10),
    ]


def test_the_moved_project_does_the_same(load: Callable[[str], ModuleType], done: list[Any]) -> None:
    moved = load("django_q2.moved")
    moved.place(7)
    weighed = moved.weigh_all([1, 2, 3])
    drain()

    sync_code_schedules(using="default", started=0.0)

    assert sorted(done) == DONE
    assert moved.total(weighed) == 60
    found = CronSchedule.objects.filter(job_name=moved.report.name).order_by("name")
    assert list(found.values_list("name", "cron", "every", "arguments")) == [
        ("morning", "0 6 * * 1-5", None, {"day": "today", "kind": "long"}),
        ("often", "", timedelta(minutes=10), {"day": "now"}),
    ]
