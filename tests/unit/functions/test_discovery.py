"""A job that no worker will know is a system check, and a warning where it is enqueued; a misspelt name an error."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core import checks, mail

import django_jobs
from django_jobs import job, registry
from django_jobs.enqueueing import new_job
from django_jobs.exceptions import ConfigurationError, UnknownJobError
from django_jobs.functions import discovery
from django_jobs.functions.origin import Origin
from tests.databases import ROOT
from tests.sampleapp import jobs as sample

PROJECT = {
    "shop/__init__.py": "",
    "shop/models.py": "import shop.helpers\n",
    "shop/helpers.py": "from django_jobs import job\n\n@job\ndef of_models(): ...\n",
    "shop/jobs.py": """
from django_jobs import job

@job
def at_home():
    from shop.late import of_function
    return of_function
""",
    "shop/late.py": "from django_jobs import job\n\n@job\ndef of_function(): ...\n",
    "shop/views.py": "from django_jobs import job\n\n@job(name='shop.named')\ndef of_views(): ...\n",
    "shop/urls.py": "import shop.views\n\nurlpatterns = []\n",
    "script.py": """
import importlib, logging, sys
import django
from django.conf import settings
from django.core.checks import run_checks

settings.configure(
    INSTALLED_APPS=["django_jobs", "shop"], ROOT_URLCONF="shop.urls", SECRET_KEY="x", USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "jobs.sqlite3"}},
)
django.setup()
logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
from django_jobs import job

@job
def of_script(): ...

@job(name="script.named")
def named(): ...

for message in run_checks():
    if message.id == "django_jobs.W006":
        print("check", message.msg)

from django_jobs.enqueueing import new_job
from shop import helpers, jobs, views
late = jobs.at_home()
importlib.reload(helpers)
for definition in (jobs.at_home, helpers.of_models, named, late, late, views.of_views, of_script):
    new_job(definition)
""",
}


def test_a_process_knows_which_of_its_jobs_a_worker_will_not_know(tmp_path: Path) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    environment.pop("DJANGO_SETTINGS_MODULE", None)

    ran = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    lines = [line.replace(f"{tmp_path}{os.sep}", "") for line in ran.stdout.splitlines()]
    end = "is not imported by django.setup()"
    assert lines[:2] == [
        f"check Job '__main__.of_script' is unknown to workers: __main__.of_script (script.py:15) {end}.",
        f"check Job 'shop.named' is unknown to workers: shop.views.of_views (shop/views.py:3) {end}.",
    ]
    says = "is enqueued, and no worker will know it:"
    assert [line.partition(f" {end};")[0] for line in lines[2:]] == [
        f"WARNING django_jobs.enqueue job shop.late.of_function {says} shop.late.of_function (shop/late.py:3)",
        f"WARNING django_jobs.enqueue job shop.named {says} shop.views.of_views (shop/views.py:3)",
        f"WARNING django_jobs.enqueue job __main__.of_script {says} __main__.of_script (script.py:15)",
    ]


@pytest.fixture
def own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(discovery, "_warned", set())
    for name in list(discovery.undiscovered):
        monkeypatch.delitem(discovery.undiscovered, name)


@job(name="discovery.of_test")
def of_test() -> None:
    """Do nothing."""


@pytest.mark.django_db
@pytest.mark.usefixtures("own_state")
def test_jobs_of_tests_are_their_own_affair(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(discovery.undiscovered, of_test.name, of_test.origin.place)

    new_job(of_test)
    assert (caplog.records, discovery.list_undiscovered()) == ([], {})

    monkeypatch.delattr(mail, "outbox")
    new_job(of_test)
    new_job(of_test)
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "django_jobs.enqueue")
    assert record.getMessage().startswith("job discovery.of_test is enqueued, and no worker will know it: ")
    [message] = [one for one in checks.run_checks() if one.id == "django_jobs.W006"]
    assert message.level == checks.WARNING
    assert message.msg.startswith("Job 'discovery.of_test' is unknown to workers: ")
    assert message.hint == "Move it to the jobs.py of an installed app, or import its module there."


@pytest.mark.usefixtures("own_state")
def test_a_job_that_setup_defines_again_is_known_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    discovery.record_definition("discovery.moved", of_test.origin)
    assert list(discovery.undiscovered) == ["discovery.moved"]

    monkeypatch.setattr(apps, "ready", False)
    discovery.record_definition("discovery.moved", of_test.origin)
    assert discovery.undiscovered == {}
    monkeypatch.setattr(apps, "ready", True)
    discovery.record_definition("discovery.moved", of_test.origin)
    assert discovery.undiscovered == {}


@pytest.mark.usefixtures("own_state")
def test_views_that_cannot_be_imported_are_the_matter_of_djangos_own_check(
    monkeypatch: pytest.MonkeyPatch, settings
) -> None:
    monkeypatch.delattr(mail, "outbox")
    settings.ROOT_URLCONF = "tests.no_such_urls"

    assert discovery.list_undiscovered() == {}


@pytest.mark.usefixtures("own_state")
@pytest.mark.parametrize("script", ["__main__", "__mp_main__"])
def test_a_job_of_the_started_script_is_known_to_workers_if_it_has_a_name_of_its_own(script: str) -> None:
    place = f"{script}.send"
    discovery.record_definition("script.send", Origin(name=place, place=place))
    assert discovery.undiscovered == {}

    discovery.record_definition(place, Origin(name=place, place=place))
    assert discovery.undiscovered == {place: place}


ALLOW = " (for a job of another code base: find_job(name, unknown='allow'))"


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    for ask in (django_jobs.find_job, django_jobs.enqueue):
        with pytest.raises(UnknownJobError) as caught:
            ask("sample.nmaed")
        assert str(caught.value) == f"no job is named 'sample.nmaed'; did you mean 'sample.named'?{ALLOW}"
    with pytest.raises(UnknownJobError, match=r"^no job is named 'zzz'; known are .*sample\.named"):
        django_jobs.find_job("zzz")


def test_a_misspelt_name_is_refused_in_asynchronous_code_too() -> None:
    with pytest.raises(UnknownJobError, match=r"did you mean 'sample\.named'"):
        asyncio.run(django_jobs.aenqueue("sample.nmaed"))


def test_a_job_of_another_code_base_is_enqueued_if_told_so() -> None:
    other = django_jobs.find_job("other.service", unknown="allow")

    assert (new_job(other).name, new_job(other.using(priority=3)).priority) == ("other.service", 3)
    assert django_jobs.find_job("sample.named", unknown="allow") is sample.named
    with pytest.raises(ConfigurationError, match=r"^find_job: unknown: expected 'raise' or 'allow', got 'maybe'$"):
        django_jobs.find_job("sample.named", unknown="maybe")


def test_any_name_is_taken_before_all_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "ready", False)

    assert django_jobs.find_job("sample.nmaed").name == "sample.nmaed"
