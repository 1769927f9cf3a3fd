"""The app: which modules it imports and when, periodic tasks, and what its signals tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_jobs import registry
from django_jobs.contrib.celery import Celery, catalog, current_app
from django_jobs.functions import startup
from django_jobs.schedules import all_schedules

TASKS = "from django_jobs.contrib.celery import shared_task\n\n\n@shared_task\ndef hello():\n    return 1\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages: one with tasks, one without, one whose tasks need a module that is not there."""
    for name, files in {
        "celapp_full": {"tasks.py": TASKS, "other.py": TASKS, "apps.py": ""},
        "celapp_empty": {},
        "celapp_broken": {"tasks.py": "import celapp_missing\n"},
    }.items():
        (tmp_path / name).mkdir()
        for file, text in {"__init__.py": "", **files}.items():
            (tmp_path / name / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("celapp_")]:
        del sys.modules[name]


def test_modules_are_imported_when_the_app_is_first_used(packages: Path, app: Celery) -> None:
    app.autodiscover_tasks(["celapp_full", "celapp_empty", "celapp_full.apps.Config"])
    app.autodiscover_tasks(lambda: ["celapp_full"], related_name="other")
    assert "celapp_full.tasks" not in sys.modules
    assert "celapp_full.tasks.hello" in app.tasks
    assert "celapp_full.other.hello" in app.tasks


@pytest.mark.parametrize("way", ["include", "imports"])
def test_modules_that_are_named_are_imported(packages: Path, way: str) -> None:
    app = Celery("names", include=["celapp_full.tasks"] if way == "include" else ())
    if way == "imports":
        app.conf.imports = "celapp_full.tasks"
    assert "celapp_full.tasks.hello" in app.tasks


def test_a_package_alone_is_imported_without_a_related_name(packages: Path, app: Celery) -> None:
    app.autodiscover_tasks(["celapp_empty"], related_name=None, force=True)
    assert "celapp_empty" in sys.modules


def test_what_is_missing_inside_of_tasks_is_raised(packages: Path, app: Celery) -> None:
    with pytest.raises(ModuleNotFoundError, match="celapp_missing"):
        app.autodiscover_tasks(["celapp_broken"], force=True)
    with pytest.raises(ModuleNotFoundError, match="celapp_nowhere"):
        app.autodiscover_tasks(["celapp_nowhere"], force=True)


def test_before_django_is_set_up_the_app_waits_for_it(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "_is_done", False)
    monkeypatch.setattr(startup, "_steps", [])
    app = Celery("early")
    app.conf.task_default_queue = "late settings"
    app.autodiscover_tasks(["celapp_full"])

    @app.task(name="early.task")
    def early() -> None: ...

    assert early.job.options.queue_name is None
    assert "celapp_full.tasks.hello" not in app.tasks
    startup.run_steps()
    assert early.job.options.queue_name == "late settings"
    assert catalog.find("celapp_full.tasks.hello").job.options.queue_name == "late settings"


def test_receivers_add_periodic_tasks(app: Celery) -> None:
    told = []

    @app.task(name="periodic.task")
    def task(a: int, b: int = 0) -> None: ...

    @app.on_after_configure.connect
    def setup(sender: Any, **kwargs: Any) -> None:
        told.append(sender)
        sender.add_periodic_task(30, task.s(1), kwargs={"b": 2}, queue="q")
        sender.add_periodic_task(60, task, args=(3,), name="named")

    @app.on_after_finalize.connect(sender=None)
    def finalized(sender: Any, **kwargs: Any) -> None:
        told.append(sender)

    app.finalize()
    app.finalize()
    assert told == [app, app]
    found = {one.name: one.spec() for one in all_schedules() if one.origin == "app 'test'"}
    assert sorted(found) == ["named", "periodic.task 30"]
    assert (found["periodic.task 30"].arguments, found["periodic.task 30"].queue_name) == ({"a": 1, "b": 2}, "q")
    assert found["named"].arguments == {"a": 3}


def test_without_an_app_shared_tasks_have_one_without_settings() -> None:
    assert current_app.conf.task_default_queue is None
    assert repr(current_app) == "<Celery default>"


def test_looking_for_a_job_calls_no_property_of_an_object() -> None:
    class Asked:
        @property
        def job(self) -> None:
            raise AssertionError("called")

    assert registry.as_definition(Asked()) is None


def test_config_source_and_namespace_of_the_constructor() -> None:
    app = Celery("x", config_source={"CELERY_TASK_DEFAULT_QUEUE": "q"}, namespace="CELERY")
    assert app.conf.task_default_queue == "q"


@pytest.mark.django_db
def test_an_app_makes_results_and_groups(app: Celery) -> None:
    @app.task(name="app.task")
    def task() -> None: ...

    result = task.delay()
    assert app.AsyncResult(result.id).state == "PENDING"
    assert task.AsyncResult(result.id) == result
    assert app.GroupResult("an id", [result]).id == "an id"
    assert app.current_task is None
