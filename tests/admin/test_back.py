"""The link back of a page that asks leads to where the user came from."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from django.test import Client

from django_jobs.policy.states import State
from tests import factories

from .staff import url

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "http://testserver"


def _back(page: str) -> str:
    found = re.search(r'href="([^"]*)" class="button cancel-link"', page)
    assert found is not None
    return html.unescape(found[1])


def _asked(client: Client, address: str, came_from: str = "") -> str:
    headers = {"referer": came_from} if came_from else {}
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def _links(page: str, start: str) -> list[str]:
    return sorted({html.unescape(link) for link in re.findall(r'href="([^"]*)"', page) if start in link})


LISTS = [
    ("job_changelist", {"state": "dead", "name": "sample", "queue": "default"}),
    ("job_changelist", {"state": "dead", "since": "PT2H", "q": "samp"}),
    ("job_changelist", {"state": "succeeded"}),
    ("deadletter_changelist", {"fingerprint": "f" * 32}),
    ("deadletter_changelist", {"job_name": "sample", "queue_name": "default"}),
]


@pytest.mark.parametrize(("name", "query"), LISTS)
def test_a_bulk_action_leads_back_to_the_filtered_list(admin_client: Client, name: str, query: dict[str, str]) -> None:
    factories.make_letter()
    factories.make_job(State.SUCCEEDED)
    factories.make_letter(factories.make_job(State.DEAD, name="other"), job_name="other", fingerprint="e" * 32)
    address = f"{url(name)}?{urlencode(query)}"
    shown = _asked(admin_client, address)
    model = name.partition("_")[0]
    links = [
        *_links(shown, f"/{model}/bulk/"),
        *_links(shown, url("job_replay")),
    ]
    assert links
    for link in links:
        assert _back(_asked(admin_client, link, HOST + address)) == address, link
        untold = _back(_asked(admin_client, link))
        rows = re.findall(r'class="field-[^"]*"><a href="([^"]*change/)', _asked(admin_client, untold))
        assert rows
        assert rows == re.findall(r'class="field-[^"]*"><a href="([^"]*change/)', shown), link


def test_a_bulk_action_on_an_error_leads_back_to_the_error(admin_client: Client) -> None:
    factories.make_letter(fingerprint="f" * 32)
    address = f"{url('deadlettergroup', 'f' * 32)}?status=all"
    links = _links(_asked(admin_client, address), "/deadletter/bulk/")
    assert len(links) >= 3
    for link in links:
        assert _back(_asked(admin_client, link, HOST + address)) == address


def test_a_form_that_is_shown_again_keeps_where_the_user_came_from(admin_client: Client) -> None:
    factories.make_job(State.SCHEDULED)
    address = url("job_bulk_start", "set_priority")
    came_from = f"{url('job_changelist')}?queue=default&below=7"
    page = _asked(admin_client, address, HOST + came_from)
    field = re.search(r'name="back" value="([^"]*)"', page)
    assert field is not None
    data = {"priority": "101", "back": html.unescape(field[1])}
    again = admin_client.post(address, data, headers={"referer": HOST + address}).content.decode()
    assert 'class="errorlist"' in again
    assert _back(again) == came_from


@pytest.mark.parametrize(
    "came_from",
    [
        "https://example.com/admin/django_jobs/job/",
        "//example.com",
        "javascript:alert(1)",
        HOST + "/admin/",
        "http://[",
    ],
)
def test_no_link_leads_out_of_the_app(admin_client: Client, came_from: str) -> None:
    factories.make_job(State.SCHEDULED)
    page = _asked(admin_client, url("job_bulk_start", "cancel") + "?state=scheduled", came_from)
    assert _back(page) == url("job_changelist") + "?state=scheduled"
    data = {"priority": "101", "back": came_from}
    page = admin_client.post(url("job_bulk_start", "set_priority"), data).content.decode()
    assert _back(page).startswith(url("job_changelist"))


def test_the_question_about_ticked_rows_and_one_row_leads_back(admin_client: Client) -> None:
    job = factories.make_job(State.SUCCEEDED)
    address = url("job_changelist") + "?state=succeeded"
    data = {"action": "purge_selected", "_selected_action": [job.pk]}
    asked = admin_client.post(address, data, headers={"referer": HOST + address}).content.decode()
    assert _back(asked) == address
    own = url("job_change", job.pk)
    purge = next(link for link in _links(_asked(admin_client, own), "purge"))
    assert _back(_asked(admin_client, purge, HOST + own)) == own
