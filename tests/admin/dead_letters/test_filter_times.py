"""Dead letters filtered by time: in the list, in bulk actions, and in exports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils.http import urlencode

from django_jobs.models import DeadLetter, Job
from django_jobs.testing import drain
from tests.factories import ago, make_letter

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

STAFF = ("view_deadletter", "view_job_arguments", "view_job", "redrive_deadletter")


@pytest.fixture
def dead_letters(client: Client) -> dict[int, DeadLetter]:
    log_in(client, *STAFF)
    return {hours: make_letter(job_name=f"died {hours} h ago", died_at=ago(hours=hours)) for hours in (50, 20, 3)}


def _shown(client: Client, **query: Any) -> set[str]:
    response = client.get(url("deadletter_changelist") + "?" + urlencode(query))
    assert response.status_code == 200
    return {row.job_name for row in response.context["cl"].result_list}


@pytest.mark.usefixtures("dead_letters")
def test_the_list_shows_the_dead_letters_of_a_period(client: Client) -> None:
    assert _shown(client, since="P1D") == {"died 20 h ago", "died 3 h ago"}
    assert _shown(client, since=ago(hours=60).isoformat(), until=ago(hours=10).isoformat()) == {
        "died 50 h ago",
        "died 20 h ago",
    }
    assert _shown(client, until=ago(hours=10).isoformat(), status="all") == {"died 50 h ago", "died 20 h ago"}
    assert _shown(client, since="PT1H") == set()


@pytest.mark.usefixtures("dead_letters")
def test_the_form_keeps_what_else_is_chosen(client: Client) -> None:
    page = client.get(url("deadletter_changelist") + "?since=P1D&queue_name=default&status=all").content.decode()
    assert '<input type="hidden" name="queue_name" value="default">' in page
    assert '<input type="hidden" name="status" value="all">' in page
    assert 'name="since" value="P1D"' in page
    form = page.partition('class="job-filter-form"')[2].partition("</form>")[0]
    assert '<input type="hidden" name="queue_name"' in form
    assert '<input type="hidden" name="since"' not in form


@pytest.mark.parametrize("page", ["deadletter_changelist", "deadletter_export", "deadletter_bulk_start"])
@pytest.mark.usefixtures("dead_letters")
def test_a_time_that_is_none_is_answered_with_what_is_wrong(client: Client, page: str) -> None:
    arguments = {"deadletter_export": ["csv"], "deadletter_bulk_start": ["redrive"]}.get(page, [])
    response = client.get(url(page, *arguments) + "?since=yesterday", follow=True)
    assert response.redirect_chain == [(url("deadletter_changelist"), 302)]
    said = [str(message) for message in response.context["messages"]]
    assert said == ["since: expected an instant such as 2026-03-01T09:30, got 'yesterday'"]


def test_what_is_done_to_all_that_match_is_done_to_those_of_the_time(
    client: Client, dead_letters: dict[int, DeadLetter]
) -> None:
    address = url("deadletter_bulk_start", "redrive")
    asked = client.get(address + "?since=P1D").content.decode()
    assert "2 open dead letters match." in asked
    response = client.post(address, {"since": "P1D"})
    job = Job.objects.get(name="django_jobs.redrive_matching")
    assert job.arguments["dead_letter_filter"]["since"].startswith("20"), "an hour later it is still the same day"
    Job.objects.filter(pk=job.pk).update(queue_name="alone")
    drain(queues=["alone"])
    assert [row.pk for row in DeadLetter.objects.filter(status="open")] == [dead_letters[50].pk]
    assert client.get(response["Location"]).status_code == 200


def test_exports_take_the_time_and_the_status_that_are_shown(
    client: Client, dead_letters: dict[int, DeadLetter]
) -> None:
    DeadLetter.objects.filter(pk=dead_letters[20].pk).update(status="resolved")

    def exported(query: str) -> list[int]:
        response = client.get(url("deadletter_export", "json") + query)
        return [json.loads(line)["id"] for line in b"".join(response.streaming_content).splitlines()]  # type: ignore[attr-defined]

    assert exported("?since=P1D") == [dead_letters[3].pk]
    assert exported("?since=P1D&status=all") == [dead_letters[20].pk, dead_letters[3].pk]
    assert exported("?status=resolved") == [dead_letters[20].pk]
    page = client.get(url("deadletter_changelist") + "?since=P1D&status=all").content.decode()
    assert url("deadletter_export", "csv") + "?since=P1DT0H0M&amp;status=all" in page
