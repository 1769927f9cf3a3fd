"""Errors are triaged: states as tabs, the evidence of one beside the list, and a button for each key."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from django_jobs.admin.dead_letters import group_actions
from django_jobs.models import DeadLetter, DeadLetterGroup
from django_jobs.store.dead_letters import resolve_group as resolve_group_module
from django_jobs.store.dead_letters.resolve_group import resolve_group
from django_jobs.store.stats.rollup import roll_up
from tests import factories

from ..staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = ("view_deadletter", "view_job_arguments")
ACT = ("resolve_deadletter", "redrive_deadletter", "purge_deadletter")
A, B, C = "a" * 32, "b" * 32, "c" * 32


def _get(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def _listed(page: str) -> list[str]:
    return re.findall(r'data-fingerprint="(\w+)" data-evidence', page)


def _keys(page: str) -> set[str]:
    return set(re.findall(r'data-key="(.)"', page))


def _say(client: Client, fingerprint: str, key: str, query: str = "") -> str:
    response = client.post(url("deadlettergroup_act", fingerprint, key) + query, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_tabs_count_the_errors_of_each_state_and_lead_to_them(client: Client) -> None:
    log_in(client, *VIEW)
    for fingerprint in (A, B, C):
        factories.make_letter(fingerprint=fingerprint)
    resolve_group(A, by="ada")
    resolve_group(B, by="ada")
    factories.make_letter(fingerprint=B)
    page = _get(client, url("deadlettergroups"))
    assert _listed(page) == [B, C], "what came back is on top"
    numbers = dict(re.findall(r'">([\w ]+) <span class="triage-number">(\d+)</span>', page))
    assert numbers == {
        "Open": "2", "Came back": "1", "New": "1", "Rising": "0", "Ongoing": "0", "Muted": "0", "Resolved": "1",
        "All": "3",
    }  # fmt: skip
    assert _listed(_get(client, url("deadlettergroups") + "?status=regressed")) == [B]
    assert _listed(_get(client, url("deadlettergroups") + "?status=new")) == [C]
    assert _listed(_get(client, url("deadlettergroups") + "?status=resolved")) == [A]
    assert _listed(_get(client, url("deadlettergroups") + "?status=what")) == [B, C]


def test_an_address_has_the_list_and_the_evidence_and_links_keep_the_list(client: Client) -> None:
    log_in(client, *VIEW)
    factories.make_letter(fingerprint=A, traceback="Traceback of a", queue_name="slow")
    factories.make_letter(fingerprint=B, traceback="Traceback of b")
    query = "?job_name=sample&status=new"
    page = _get(client, url("deadlettergroup", A) + query)
    assert sorted(_listed(page)) == [A, B]
    assert "Traceback of a" in page
    assert "Traceback of b" not in page
    assert '<bdi>slow</bdi> <span class="jobs-minor">1</span>' in page
    assert url("deadlettergroup", B) + query.replace("&", "&amp;") in page
    assert len(re.findall(r'aria-current="true"', page)) == 1
    fragment = _get(client, url("deadlettergroup_evidence", A) + query)
    assert "Traceback of a" in fragment
    assert "<html" not in fragment
    assert url("deadlettergroups") + query.replace("&", "&amp;") in fragment
    assert client.get(url("deadlettergroup_evidence", C)).status_code == 404


def test_an_error_is_resolved_comes_back_and_says_so(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    for _ in range(2):
        factories.make_letter(fingerprint=A)
    page = _say(client, A, "resolve", "?status=new")
    assert "Resolved: 2 dead letters are closed." in page
    assert "Resolved by bo " in page
    assert _listed(page) == []
    roll_up(min_age=timedelta(0))
    DeadLetterGroup.objects.update(resolved_at=factories.ago(hours=4))
    factories.make_letter(fingerprint=A, died_at=factories.ago(hours=1))
    page = _get(client, url("deadlettergroup", A))
    assert re.search(r"Resolved by bo .*It came back after (3 h 0 min|2 h 59 min)\.", page)
    assert "came back</span>" in page


def test_a_resolution_is_undone_while_the_error_has_not_come_back(client: Client) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    factories.make_letter(fingerprint=A)
    assert "u" in _keys(_say(client, A, "resolve"))
    page = _say(client, A, "undo")
    assert "Undone: 1 dead letter is open again." in page
    assert _listed(page) == [A]
    _say(client, A, "resolve")
    factories.make_letter(fingerprint=A)
    assert "Not undone" in _say(client, A, "undo")
    assert DeadLetter.objects.filter(status="open").count() == 1


def test_a_resolution_too_large_to_undo_says_so_and_has_no_button(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(client, *VIEW, "resolve_deadletter")
    monkeypatch.setattr(resolve_group_module, "MAX_UNDONE", 1)
    for _ in range(2):
        factories.make_letter(fingerprint=A)
    page = _say(client, A, "resolve")
    assert "u" not in _keys(page)
    assert "cannot be undone" in page
    monkeypatch.setattr(resolve_group_module, "MAX_UNDONE", 2)
    page = client.get(url("deadlettergroup", A)).content.decode()
    assert "u" in _keys(page)
    assert "cannot be undone" not in page


@pytest.mark.parametrize(
    ("permissions", "keys"),
    [
        ((), set()),
        (("resolve_deadletter",), {"e", "m"}),
        (("redrive_deadletter",), {"r"}),
        (("purge_deadletter",), {"p"}),
        (ACT, {"r", "e", "m", "p"}),
    ],
)
def test_each_key_has_a_button_for_who_may_use_it(client: Client, permissions: tuple[str, ...], keys: set[str]) -> None:
    log_in(client, *VIEW, *permissions)
    factories.make_letter(fingerprint=A)
    page = _get(client, url("deadlettergroup", A))
    assert _keys(page) == keys
    told = set(re.findall(r"<kbd>(.)</kbd></th>", page))
    assert told == {"j", "k", "o", "?", *keys} | ({"u"} if "m" in keys else set())


def test_redriving_from_an_error_asks_and_proposes_ten_first(client: Client) -> None:
    log_in(client, *VIEW, "redrive_deadletter")
    factories.make_letter(fingerprint=A)
    page = _get(client, url("deadlettergroup", A))
    address = re.search(r'href="([^"]+)"[^>]*data-key="r"', page)
    assert address is not None
    question = _get(client, address[1].replace("&amp;", "&"))
    assert re.search(r'name="first" value="10"', question)
    assert "1 open dead letter matches." in question
    for odd in ("0", "1001", "x", "-1", "9" * 5_000):
        asked = _get(client, f"{url('deadletter_bulk_start', 'redrive')}?fingerprint={A}&first={odd}")
        assert not re.search(r'name="first" value="', asked), odd


def test_very_many_are_resolved_by_a_job(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(group_actions, "MAX_RESOLVED_AT_ONCE", 1)
    log_in(client, *VIEW, "resolve_deadletter")
    for _ in range(2):
        factories.make_letter(fingerprint=A)
    page = _get(client, url("deadlettergroup", A))
    assert re.search(rf'href="{url("deadletter_bulk_start", "resolve")}\?fingerprint={A}"[^>]*data-key="e"', page)


def test_who_may_not_read_errors_sees_neither_message_nor_evidence(client: Client) -> None:
    log_in(client, "view_deadletter")
    factories.make_letter(fingerprint=A, error_message="no card 4711", traceback="Traceback 4711")
    shown = _get(client, url("deadlettergroup", A)) + _get(client, url("deadlettergroup_evidence", A))
    assert "4711" not in shown
