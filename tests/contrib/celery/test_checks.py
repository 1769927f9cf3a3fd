"""The system checks list what has no effect here, and priorities that were written for Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_jobs.contrib.celery import Celery, Task
from django_jobs.contrib.celery.checks import check_priorities, check_without_effect


def test_options_and_settings_without_effect_are_one_warning(app: Celery) -> None:
    class Late(Task):
        acks_late = True

    for number in range(5):
        app.task(base=Late, name=f"checked.{number}", ignore_result=True if number == 4 else None)(lambda: None)
    app.conf.update(result_backend="rpc://", task_default_queue="q")
    (warning,) = check_without_effect()
    assert warning.id == "django_jobs.W201"
    assert "acks_late of checked.0, checked.1, checked.2 and 2 more" in warning.msg
    assert "ignore_result of checked.4" in warning.msg
    assert "the settings result_backend" in warning.msg
    assert "task_default_queue" not in warning.msg


def test_nothing_is_said_of_tasks_without_such_options(app: Celery) -> None:
    app.task(name="checked.plain", queue="q", max_retries=3)(lambda: None)
    assert check_without_effect() == []
    assert check_priorities() == []


def test_priorities_of_a_project_with_redis_are_a_warning(app: Celery) -> None:
    app.task(name="checked.first", priority=0)(lambda: None)
    assert check_priorities() == []
    app.conf.broker_url = "redis://localhost"
    (warning,) = check_priorities()
    assert (warning.id, "checked.first" in warning.msg) == ("django_jobs.W202", True)


def test_what_is_recorded_of_celery_is_what_it_does(tmp_path: Path) -> None:
    celery = pytest.importorskip("celery")
    here = Path(__file__).parent
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    target = tmp_path / "recorded.txt"
    subprocess.run([sys.executable, str(here / "record.py"), str(target)], check=True, env=environment, timeout=60)
    recorded = (here / "recorded.txt").read_text().splitlines()
    assert target.read_text().splitlines() == [f"Celery {celery.__version__}, eager", *recorded[1:]]
