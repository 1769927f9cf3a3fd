"""Names that no process has registered: what is imported for them, and what is not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.test import override_settings

from django_jobs import registry
from django_jobs.contrib.tasks.definition import TaskJob
from django_jobs.contrib.tasks.roots import Root
from django_jobs.contrib.tasks.source import SOURCE
from tests.contrib.tasks.conftest import BACKEND, TASKS


def with_modules(*modules: str) -> Any:
    return override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"MODULES": list(modules)}}})


@pytest.fixture
def unknown(tasks: ModuleType) -> str:
    """The path of a Task whose job is not registered."""
    path: str = tasks.add.module_path
    registry._definitions.pop(path, None)
    return path


def test_a_task_in_a_named_module_is_found(unknown: str, tasks: ModuleType) -> None:
    found = registry.find(unknown)
    assert isinstance(found, TaskJob)
    assert found.function is tasks.add.func
    assert registry.find_registered(unknown) is found


def test_a_task_elsewhere_is_not_imported(unknown: str) -> None:
    with with_modules("tests.contrib.task"):
        assert registry.find(unknown) is None


def test_a_module_of_an_installed_app_is_imported(monkeypatch: pytest.MonkeyPatch, root: Root, tmp_path: Path) -> None:
    package = apps.get_app_config("sampleapp").module
    assert package is not None
    folder = tmp_path / "tests_tasks"
    folder.mkdir()
    (folder / "mails.py").write_text(
        f"from {root.name} import task\n@task\ndef send(): ...\ndef plain(): ...\nimported = True\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    name = f"{package.__name__}.mails"
    try:
        assert registry.find(f"{name}.plain") is None
        assert isinstance(registry.find(f"{name}.send"), TaskJob)
        assert registry.find(f"{name}.imported") is None
    finally:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("1 / 0", id="an error"),
        pytest.param("import a_library_that_is_not_installed", id="a module that it imports is missing"),
        pytest.param("raise SystemExit(3)", id="a script"),
        pytest.param("import pytest; pytest.skip('later', allow_module_level=True)", id="no Exception"),
        pytest.param("def __getattr__(name): raise OSError(name)", id="a lazy module"),
    ],
)
def test_a_module_that_cannot_be_imported_is_logged_once(
    text: str, monkeypatch: pytest.MonkeyPatch, root: Root, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = apps.get_app_config("sampleapp").module
    assert package is not None
    (tmp_path / "broken_tasks.py").write_text(f"{text}\n")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(SOURCE, "_reported", set())
    name = f"{package.__name__}.broken_tasks"
    try:
        assert registry.find(f"{name}.send") is None
        assert registry.find(f"{name}.send") is None
    finally:
        sys.modules.pop(name, None)
    (record,) = caplog.records
    assert "broken_tasks could not be imported" in record.getMessage()
    assert record.exc_info


def test_a_name_whose_module_is_not_there_is_no_error(root: Root, caplog: pytest.LogCaptureFixture) -> None:
    package = "tests.contrib.tasks"
    for name in (f"{package}.nowhere.send", f"{package}.nowhere.deeper.send", f"{package}.roots.samples.send"):
        assert registry.find(name) is None
    assert not caplog.records


def test_a_task_of_another_backend_runs_if_it_was_enqueued_here(unknown: str, tasks: ModuleType, root: Root) -> None:
    other = {"BACKEND": f"{root.name}.backends.dummy.DummyBackend"}
    ours = {"BACKEND": BACKEND, "QUEUES": [], "OPTIONS": {"MODULES": ["tests.contrib.tasks"]}}
    with override_settings(TASKS={"default": other, "jobs": ours}):
        assert isinstance(registry.find(unknown), TaskJob)
    with override_settings(TASKS={"default": other}):
        registry._definitions.pop(unknown)
        assert registry.find(unknown) is None


def test_apps_of_projects_without_our_alias_are_left_alone() -> None:
    config: Any = apps.get_app_config("django_jobs")
    with override_settings(TASKS={"default": {"BACKEND": "nowhere.Backend"}}):
        assert config.task_modules() == ()
    with override_settings(TASKS={**TASKS, "other": {}}):
        assert config.task_modules() == ("tasks",)
    mistyped = {"BACKEND": "django_jobs.contrib.tasks.JobBackend"}
    with override_settings(TASKS={"default": mistyped}), pytest.raises(ImportError, match="JobBackend"):
        config.task_modules()
