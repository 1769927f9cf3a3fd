"""OPTIONS of an alias, system checks, and the choice between two roots."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from types import ModuleType
from typing import Any

import django
import pytest
from django.test import override_settings

from django_jobs import registry
from django_jobs.contrib.tasks import as_job, with_options
from django_jobs.contrib.tasks.backend import check_aliases
from django_jobs.contrib.tasks.roots import BACKPORT, ROOTS, InvalidTask, Root
from django_jobs.exceptions import ConfigurationError
from django_jobs.schedules import all_schedules
from tests.contrib.tasks.conftest import BACKEND


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_attempt": 3}, "max_attempts"),
        ({"cron": "* * * * *"}, "cron"),
        ({"priority": 3}, "priority"),
        ({"timeout": "long"}, "timeout"),
        ({"TASKS": {"a.b": {"max_attempts": 0}}}, "['TASKS']['a.b']: max_attempts"),
        ({"TASKS": {"a.b": 3}}, "expected a dict of options"),
        ({"TASKS": ["a.b"]}, "expected a dict of options by the paths of Tasks"),
        ({"MODULES": "shop"}, "MODULES"),
        ({"MODULES": ["tests.contrib.nonesuch"]}, "['MODULES']: there is no module 'tests.contrib.nonesuch'"),
        ({"MODULES": ["tests", "nonesuch.tasks"]}, "['MODULES']: there is no module 'nonesuch.tasks'"),
        ({"MODULES": [".tasks"]}, "['MODULES']: there is no module '.tasks'"),
        ({"MODULE": ["shop"]}, "unknown option MODULE (did you mean MODULES?)"),
        ({"tasks": {}}, "unknown option tasks (did you mean TASKS?)"),
        ({"queue": "mail"}, "unknown option queue (queue_name is an option of @task)"),
        ({"takes_context": True}, "takes_context: expected no such option here; each Task says it itself"),
    ],
)
def test_wrong_options_of_an_alias_are_found_by_the_checks(root: Root, options: dict[str, Any], text: str) -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        (message,) = [message for message in root.handler["default"].check() if message.id != "django_jobs.W101"]
    assert message.id == "django_jobs.E102"
    assert text in message.msg
    assert "TASKS['default']['OPTIONS']" in message.msg


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"TASKS": None}, "expected a dict of dicts of options, got None"),
        ({"cron": "* * * * *"}, "cron: expected no such option here; each Task says it itself"),
        ({"name": "x"}, "name: expected no such option here"),
        ({"max_attempt": 3}, "max_attempts"),
    ],
)
def test_wrong_options_of_an_alias_refuse_each_task(
    tasks: ModuleType, root: Root, options: dict[str, Any], text: str
) -> None:
    wrong = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
    with override_settings(TASKS=wrong), pytest.raises(InvalidTask, match=text) as caught:
        tasks.send.using(queue_name="default").enqueue()
    assert "TASKS['default']['OPTIONS']" in str(caught.value)


@pytest.mark.parametrize("modules", [None, "tests.contrib.tasks", 5, [5]])
def test_modules_of_another_form_are_not_trusted(root: Root, modules: Any) -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"MODULES": modules}}}):
        (message,) = root.handler["default"].check()
        assert registry.find("tests.contrib.tasks.samples.add") is None
    assert "['MODULES']: expected a list of dotted paths" in message.msg


def test_known_options_of_an_alias_are_those_that_it_takes(root: Root) -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"nonesuch": 3}}}):
        (message,) = root.handler["default"].check()
    known = message.msg.partition("known are ")[2].split(", ")
    assert {"max_attempts", "TASKS", "MODULES"} <= set(known)
    assert {"name", "priority", "takes_context", "cron"}.isdisjoint(known)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"OPTIONS": [3]}, r"TASKS\['default'\]\['OPTIONS'\]: expected a dict of options, got \[3\]"),
        ({"OPTIONS": None}, "expected a dict of options, got None"),
        ({"QUEUES": "default"}, r"\['QUEUES'\]: expected a list of names of queues, .* got 'default'"),
        ({"QUEUES": None}, "expected a list of names of queues"),
    ],
)
def test_an_alias_that_cannot_be_read_is_refused_in_a_sentence(root: Root, params: dict[str, Any], text: str) -> None:
    with (
        override_settings(TASKS={"default": {"BACKEND": BACKEND, **params}}),
        pytest.raises(ConfigurationError, match=text),
    ):
        root.handler["default"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("OPTION", "did you mean OPTIONS?"),
        ("queues", "did you mean QUEUES?"),
        ("MAX_ATTEMPTS", "options of jobs are in OPTIONS: {'max_attempts': ...}"),
        ("MODULES", "it is a key of OPTIONS: {'MODULES': ...}"),
        ("COLOUR", "known are BACKEND, QUEUES, OPTIONS"),
    ],
)
def test_a_key_of_an_alias_that_nothing_reads_is_warned_of(root: Root, key: str, text: str) -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, key: ()}}):
        (message,) = root.handler["default"].check()
    assert message.id == "django_jobs.W102"
    assert f"nothing reads the key {key!r}; {text}" in message.msg


def test_options_for_a_task_that_is_not_there_are_warned_of(tasks: ModuleType, root: Root) -> None:
    of_tasks = {tasks.add.module_path: {"max_attempts": 2}, "shop.tasks.sent": {"max_attempts": 2}}
    aliases = {
        "default": {"BACKEND": BACKEND, "OPTIONS": {"MODULES": ["tests.contrib.tasks"], "TASKS": of_tasks}},
        "slow": {"BACKEND": BACKEND, "OPTIONS": {"TASKS": {tasks.add.module_path: {"timeout": 60}}}},
    }
    with override_settings(TASKS=aliases):
        (of_default,), (of_slow,) = (list(root.handler[alias].check()) for alias in aliases)
    assert (of_default.id, of_slow.id) == ("django_jobs.W101", "django_jobs.W101")
    assert "'shop.tasks.sent'" in of_default.msg
    assert tasks.add.module_path in of_slow.msg


def test_right_options_pass(tasks: ModuleType, root: Root) -> None:
    of_task = {tasks.send.module_path: {"cron": "* * * * *"}}
    options = {"max_attempts": 3, "backoff": [1, 2], "TASKS": of_task, "MODULES": ("tests.contrib",)}
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        assert list(root.handler["default"].check()) == []


def test_a_project_without_the_app_is_told(root: Root) -> None:
    with override_settings(INSTALLED_APPS=["django.contrib.contenttypes"]):
        assert [message.id for message in root.handler["default"].check()] == ["django_jobs.E101"]


def test_wrong_options_of_an_alias_refuse_its_tasks(tasks: ModuleType) -> None:
    options = {"retries": 3}
    with (
        override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}),
        pytest.raises(InvalidTask, match="retries"),
    ):
        tasks.add.using()


def test_a_task_of_another_backend_is_no_job(tasks: ModuleType, root: Root) -> None:
    other = {"BACKEND": f"{root.name}.backends.dummy.DummyBackend"}
    with override_settings(TASKS={"default": other}), pytest.raises(InvalidTask, match="expected a Task of a backend"):
        as_job(tasks.add)


@pytest.mark.skipif(len(ROOTS) == 1, reason="one root is installed")
def test_both_roots_have_backends_of_their_own(tasks: ModuleType, root: Root) -> None:
    assert {one.handler["default"].root for one in ROOTS} == set(ROOTS)
    assert isinstance(tasks.add.using(), root.job_task)


def test_the_package_loads_no_model() -> None:
    """``@task`` runs while apps load."""
    code = (
        "import sys\nfrom django.conf import settings\n"
        f"settings.configure(SECRET_KEY='x', TASKS={{'default': {{'BACKEND': {BACKEND!r}}}}})\n"
        f"from {ROOTS[0].name} import task\n"
        "import types; module = types.ModuleType('early'); sys.modules['early'] = module\n"
        "exec('def send(x): ...', vars(module))\n"
        "assert type(task(module.send)).__name__ == 'JobTask'\n"
        "assert 'django_jobs.models' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(ROOTS[0].name != BACKPORT, reason="Django checks its own")
def test_aliases_are_checked_without_the_app_of_the_backport() -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"retries": 1}}}):
        assert [message.id for message in check_aliases()] == ["django_jobs.E102"]


def test_a_process_that_has_built_no_task_can_unpickle_one() -> None:
    """The classes are made when they are needed."""
    home = f"django_jobs.contrib.tasks.{'on_backport' if ROOTS[0].name == BACKPORT else 'on_django'}"
    code = f"import pickle; pickle.loads(b'c{home}\\nJobResult\\n.')"
    subprocess.run(
        [sys.executable, "-c", f"from django.conf import settings; settings.configure(); {code}"], check=True
    )


@pytest.mark.skipif(ROOTS[0].name != BACKPORT, reason="Django 6 needs no extra")
def test_a_project_without_the_backport_is_told_of_the_extra() -> None:
    code = (
        "import sys; sys.modules['django_tasks'] = None\n"
        "import django\nfrom django.conf import settings\n"
        f"settings.configure(INSTALLED_APPS=['django_jobs'], TASKS={{'default': {{'BACKEND': {BACKEND!r}}}}})\n"
        "django.setup()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert 'pip install "django-jobs-engine[tasks]"' in ended.stderr.splitlines()[-1]


def test_options_of_a_schedule_make_one(tasks: ModuleType) -> None:
    with_options(tasks.send, every=3600)
    (found,) = [found for found in all_schedules() if found.name == tasks.send.module_path]
    assert (found.job.name, found.timing.every) == (tasks.send.module_path, timedelta(hours=1))


def test_the_decorator_takes_options(tasks: ModuleType, root: Root) -> None:
    if root.name != BACKPORT and django.VERSION < (6, 1):
        pytest.skip("@task of Django 6.0 takes no options")
    decorate = sys.modules[root.name].task
    assert as_job(decorate(max_attempts=2, timeout=5)(tasks.add.func)).options.max_attempts == 2
    with pytest.raises(InvalidTask, match="max_attempt"):
        decorate(max_attempt=2)(tasks.add.func)
