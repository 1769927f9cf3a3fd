"""Celery's settings: from where they are read, under which names, and when."""

from __future__ import annotations

import sys
from datetime import UTC
from types import ModuleType, SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings

from django_jobs.contrib.celery import Celery


def test_django_settings_are_read_by_their_namespace_when_they_are_needed(app: Celery) -> None:
    app.config_from_object("django.conf:settings", namespace="CELERY")
    assert app.conf.task_default_queue is None
    with override_settings(CELERY_TASK_DEFAULT_QUEUE="late", CELERY_BROKER_URL="redis://"):
        assert app.conf.task_default_queue == "late"
        assert app.conf["broker_url"] == "redis://"
    assert app.conf.task_default_queue is None


def test_a_module_is_read_by_lower_case_names(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("somewhere_celeryconfig")
    vars(module).update(task_default_queue="q", unrelated="x", CELERY_TIMEZONE="Europe/Berlin")
    monkeypatch.setitem(sys.modules, "somewhere_celeryconfig", module)
    app.config_from_object("somewhere_celeryconfig")
    assert (app.conf.task_default_queue, app.conf.timezone) == ("q", "Europe/Berlin")
    assert "unrelated" not in app.conf
    assert app.conf.zone == ZoneInfo("Europe/Berlin")


def test_objects_old_names_and_assignments(app: Celery) -> None:
    app.config_from_object(SimpleNamespace(CELERY_ALWAYS_EAGER=True, CELERYBEAT_SCHEDULE={"a": 1}, task_time_limit=3))
    assert (app.conf.task_always_eager, app.conf.beat_schedule, app.conf.task_time_limit) == (True, {"a": 1}, 3)
    app.conf.task_always_eager = False
    app.conf.update(CELERY_TASK_TIME_LIMIT=4, task_default_queue="b")
    app.conf["timezone"] = UTC
    assert (app.conf.task_always_eager, app.conf.task_time_limit, app.conf.get("task_default_queue")) == (False, 4, "b")
    assert app.conf.zone is UTC


def test_a_setting_that_nobody_gave_is_an_attribute_error(app: Celery) -> None:
    with pytest.raises(AttributeError, match="no setting of Celery named 'result_backend' was given"):
        app.conf.result_backend  # noqa: B018 - that is the test
    assert app.conf.get("result_backend", "none") == "none"


def test_options_of_the_app_are_settings() -> None:
    assert Celery("x", broker="redis://", backend="rpc://").conf.broker == "redis://"
