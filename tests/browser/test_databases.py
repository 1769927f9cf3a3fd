"""Two tabs of the admin on two databases: switched, searched and purged, each on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Model

from django_jobs.models import Job
from django_jobs.policy.states import State
from tests import factories
from tests.more_databases import environment, known, migrated_file
from tests.programs import environment_of_programs
from tests.serving import serving

from .visitor import PHONE, Visitor

ENTER = "dialog.jobs-find [role=option]"


@pytest.fixture(scope="module")
def entries(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> dict[str, dict[str, Any]]:
    with django_db_blocker.unblock():
        path = migrated_file(tmp_path_factory.mktemp("databases") / "eu.sqlite3")
    return {"eu": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}}


@pytest.fixture(scope="module")
def address(entries: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Serve the project with two databases."""
    served = {**environment_of_programs(), **environment(entries), "DJANGO_SETTINGS_MODULE": "tests.browser.settings"}
    with serving("wsgi", served, options=("--insecure",)) as where:
        yield where


def test_two_tabs_act_each_on_its_database(visitor: Visitor, entries: dict[str, dict[str, Any]]) -> None:
    with known(entries):
        job = factories.make_job(State.SUCCEEDED, id=4711, name="shop.far")
        Model.save(job, using="eu", force_insert=True)
        factories.make_queue("mails")
        Job.objects.using("default").filter(pk=4711).update(name="shop.near")

        visitor.go("app_list", "django_jobs")
        visitor.page.click('.jobs-databases >> text="eu"')
        visitor.page.click('#nav-sidebar >> text="Jobs"')
        visitor.wait_for_text("shop.far")
        visitor.page.keyboard.press("Control+k")
        visitor.page.wait_for_selector("dialog.jobs-find[open]")
        visitor.page.keyboard.type("4711")
        visitor.page.wait_for_selector(f"{ENTER}:has-text('default:4711 shop.near')")
        assert visitor.page.locator(ENTER).first.inner_text().startswith("eu:4711 shop.far")
        visitor.page.keyboard.press("Enter")
        visitor.wait_for_text("Job eu:4711")
        assert visitor.grave_violations() == []
        assert visitor.mislaid() == []
        visitor.picture("database")

        near = visitor.page.context.new_page()
        visitor.page.click('text="Purge"')
        near.goto(f"{visitor.address}/admin/django_jobs/job/4711/change/?database=default")
        near.get_by_text("Job default:4711").first.wait_for()
        visitor.page.click("[type=submit]:has-text('Purge')")
        visitor.wait_for_text("eu: ")

        assert not Job.objects.using("eu").exists()
        assert Job.objects.using("default").filter(pk=4711).exists()

        visitor.page.set_viewport_size(PHONE)
        visitor.go("app_list", "django_jobs", query="?database=eu")
        assert not visitor.scrolls_sideways()
        assert visitor.mislaid() == []
