"""Keys in the admin: their jobs, the search, hidden from users who may not see arguments."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from django_jobs import once
from django_jobs.models import EnqueueKey, Job, OnceRecord
from django_jobs.store.search.keys import find_keys, find_once
from tests.admin.staff import log_in, url
from tests.factories import ago
from tests.sampleapp.jobs import echo, named, sync

pytestmark = pytest.mark.django_db(transaction=True)


def shown(client: Client, model: str, **query: str) -> str:
    page = client.get(url(f"{model}_changelist"), query)
    assert page.status_code == 200
    return page.content.decode()


def do_once(*key: Any, stored: Any = None) -> None:
    with once(*key) as first:
        if first:
            first.store(stored)


def test_keys_are_listed_with_their_jobs_and_until_when_they_hold(admin_client: Client) -> None:
    first = echo.using(idempotency_key="order-3-receipt").enqueue(1)
    second = sync.enqueue(7)
    page = shown(admin_client, "enqueuekey")

    for job in (first, second):
        assert url("job_change", job.pk) in page
        assert f"#{job.pk} (ready)" in page
    assert "order-3-receipt" in page
    assert "{&quot;user_id&quot;:7}" in page
    assert "while its job waits" in page
    assert "idempotency key" in page
    assert 'name="_save"' not in page


def test_a_search_finds_keys_by_a_part_and_by_the_job(admin_client: Client) -> None:
    for key in ("order-3-receipt", "order-4-receipt"):
        echo.using(idempotency_key=key).enqueue(1)
    named.using(idempotency_key="else").enqueue(1)

    page = shown(admin_client, "enqueuekey", q="order-3")
    assert "order-3-receipt" in page
    assert "order-4-receipt" not in page
    assert "else" not in shown(admin_client, "enqueuekey", q="echo")


def test_a_whole_key_is_found_however_many_are_younger(admin_client: Client) -> None:
    echo.using(idempotency_key="order-3-receipt").enqueue(1)
    EnqueueKey.objects.update(expires_at=ago(days=1))
    sync.enqueue_many([(number,) for number in range(5)])

    assert find_keys("order-3-receipt", scan=3).rows == []
    page = find_keys("order-3-receipt", names=[echo.name], scan=3)
    assert [key.key for key in page.rows] == ["order-3-receipt"]
    assert page.is_truncated
    assert page.next_cursor is not None
    assert [key.key for key in find_keys("order-3-receipt", after=page.next_cursor, scan=3).rows] == ["order-3-receipt"]


def test_pages_follow_one_another_and_read_no_count(admin_client: Client) -> None:
    sync.enqueue_many([(number,) for number in range(120)])
    page, seen, after = 0, set(), ""
    while page == 0 or after:
        found = find_keys(after=after)
        seen |= {key.pk for key in found.rows}
        page, after = page + 1, found.next_cursor or ""
    assert (page, len(seen)) == (3, 120)
    assert 'rel="next"' in shown(admin_client, "enqueuekey")
    older = find_keys().next_cursor
    assert older is not None
    assert "First page" in shown(admin_client, "enqueuekey", below=older)


@pytest.mark.parametrize("below", ["x", "[1]", '["2026-01-01T00:00:00+00:00", 5]', '["x", "y"]', "[null,null]"])
def test_an_address_that_nobody_made_is_no_error(admin_client: Client, below: str) -> None:
    sync.enqueue(1)
    for model in ("enqueuekey", "oncerecord"):
        page = admin_client.get(url(f"{model}_changelist"), {"below": below}, follow=True)
        assert page.status_code in {200, 400}


def test_a_keys_page_is_complete_even_if_the_job_is_deleted(admin_client: Client) -> None:
    job = echo.using(idempotency_key="order-3-receipt").enqueue(1)
    address = url("enqueuekey_change", EnqueueKey.objects.get().pk)
    assert url("job_change", job.pk) in admin_client.get(address).content.decode()
    Job.objects.all()._raw_delete("default")
    page = admin_client.get(address).content.decode()
    assert f"#{job.pk} (deleted)" in page
    assert "order-3-receipt" in page
    assert "(deleted)" in shown(admin_client, "enqueuekey")


def test_what_was_done_once_is_listed_and_its_page_has_what_was_stored(admin_client: Client) -> None:
    do_once("charge", 3, stored={"receipt": "R-1", "api_token": "t0ken"})
    do_once("mail", 4)
    page = shown(admin_client, "oncerecord", q="charge")
    assert "&quot;charge&quot;,3" in page
    assert "mail" not in page.partition('id="result_list"')[2]
    record = OnceRecord.objects.get(key__contains="charge")
    page = admin_client.get(url("oncerecord_change", record.pk)).content.decode()
    assert "R-1" in page
    assert "t0ken" not in page
    assert [row.key for row in find_once(scan=1).rows] == ['"mail",4', '"charge",3']


def test_without_the_permission_to_see_arguments_keys_are_hidden_and_not_searched(client: Client) -> None:
    job = echo.using(idempotency_key="order-3-receipt").enqueue(1)
    do_once("charge", "order-3", stored="R-1")
    log_in(client, "view_enqueuekey", "view_oncerecord", "view_job")
    for model in ("enqueuekey", "oncerecord"):
        assert "order-3" not in shown(client, model)
        for text in ("order-3", "nowhere"):
            page = shown(client, model, q=text)
            assert re.search(rf"/{model}/[0-9a-f-]+/change/", page), "a search must not tell what is there"
    key, record = EnqueueKey.objects.get(), OnceRecord.objects.get()
    assert "order-3" not in client.get(url("enqueuekey_change", key.pk)).content.decode()
    page = client.get(url("oncerecord_change", record.pk)).content.decode()
    assert "order-3" not in page
    assert "R-1" not in page
    page = client.get(url("job_change", job.pk)).content.decode()
    assert "order-3" not in page
    assert url("enqueuekey_change", key.pk) in page


def test_without_the_permission_there_are_no_pages(client: Client) -> None:
    sync.enqueue(7)
    log_in(client, "view_job")
    for model in ("enqueuekey", "oncerecord"):
        assert client.get(url(f"{model}_changelist")).status_code == 403


def test_nothing_can_be_added_changed_or_deleted(admin_client: Client) -> None:
    sync.enqueue(7)
    key = EnqueueKey.objects.get()
    assert admin_client.get(url("enqueuekey_add")).status_code == 403
    assert admin_client.post(url("enqueuekey_change", key.pk), {"key": "x"}).status_code == 403
    assert admin_client.post(url("enqueuekey_delete", key.pk), {"post": "yes"}).status_code == 403
    assert EnqueueKey.objects.get().key == key.key


def test_a_jobs_page_names_its_key(admin_client: Client) -> None:
    job = echo.using(idempotency_key="order-3-receipt").enqueue(1)
    page = admin_client.get(url("job_change", job.pk)).content.decode()
    assert "order-3-receipt" in page
    assert url("enqueuekey_change", EnqueueKey.objects.get().pk) in page
