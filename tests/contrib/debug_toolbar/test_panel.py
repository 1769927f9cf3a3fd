"""The panel shows what a request enqueued, in a project with the toolbar's own middleware and pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.checks.registry import registry
from django.test import AsyncClient, Client, override_settings
from django.urls import reverse

from django_jobs import hooks
from django_jobs.contrib.debug_toolbar import recording
from django_jobs.models import Job
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)
PANEL = "django_jobs.contrib.debug_toolbar.JobsPanel"


@pytest.fixture(autouse=True)
def _toolbar(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the toolbar; nothing of it is left in this process."""
    monkeypatch.setattr(hooks, "_added", hooks._added)
    monkeypatch.setattr(recording, "_hooks", [])
    monkeypatch.setattr(registry, "registered_checks", set(registry.registered_checks))
    with override_settings(
        INSTALLED_APPS=[*django_settings.INSTALLED_APPS, "debug_toolbar"],
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware", *django_settings.MIDDLEWARE],
        ROOT_URLCONF="tests.contrib.debug_toolbar.urls",
        DEBUG_TOOLBAR_PANELS=[PANEL],
        DEBUG_TOOLBAR_CONFIG={"SHOW_TOOLBAR_CALLBACK": "tests.contrib.debug_toolbar.test_panel.always"},
    ):
        yield


def always(request: Any) -> bool:
    return True


def panel(page: Any) -> str:
    """Return the text of the panel of this answer, as the toolbar's script fetches it."""
    (request_id,) = re.findall(r'data-request-id="([^"]+)"', page.content.decode())
    answer = Client().get("/__debug__/render_panel/", {"request_id": request_id, "panel_id": "JobsPanel"})
    return str(answer.json()["content"])


def test_the_jobs_of_a_request_are_shown_with_where_they_were_enqueued() -> None:
    page = Client().get("/enqueue/")
    assert re.search(r"<h3>Jobs</h3>|Jobs\s*<br>\s*<small>64 jobs</small>", page.content.decode())
    html = panel(page)
    first = Job.objects.filter(name="sample.named").earliest("pk")
    assert f'<a href="{reverse("admin:django_jobs_job_change", args=[first.pk])}">{first.pk}</a>' in html
    text = unescape(html)
    times = "\N{MULTIPLICATION SIGN}"
    for expected in ("documents", "value=7", f"{sample.echo.name} {times} 60", "+ 10", "debug_toolbar/urls.py:"):
        assert expected in text, expected
    assert re.search(r"urls\.py:\d+ enqueue</code>", text)
    assert 'card="********"' in text
    assert "4111" not in text
    assert "enqueueing.py" not in text  # the engine's own frames


def test_jobs_of_an_async_view_are_shown_with_its_line() -> None:
    html = panel(async_to_sync(AsyncClient().get)("/aenqueue/"))
    assert re.search(r"urls\.py:\d+ aenqueue</code>", html)
    assert 'value="<b>"' in unescape(html)
    assert "<b>" not in html


def test_a_refused_enqueue_is_shown_with_its_error() -> None:
    assert "<strong>ConfigurationError</strong>" in panel(Client().get("/fail/"))


def test_a_request_shows_its_own_jobs_only() -> None:
    Client().get("/enqueue/")
    sample.echo.enqueue("outside of any request")
    page = Client().get("/nothing/")
    assert "0 jobs" in page.content.decode()
    assert "<table>" not in panel(page)
