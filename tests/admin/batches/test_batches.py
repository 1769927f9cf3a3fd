"""Pages of batches: progress, jobs by state, and cancelling."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from django_jobs import Batch
from django_jobs.models import Batch as BatchRow
from django_jobs.models import BatchCountDelta, Job
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.store.batches import batch as store
from django_jobs.store.lifecycle.finish import finish
from tests import factories
from tests.admin.staff import log_in, url
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def make(number: int = 4, **options: Any) -> Batch:
    with Batch(**options) as batch:
        sample.echo.enqueue_many([(at,) for at in range(number)])
    return batch


def run(number: int) -> None:
    worker = factories.make_worker()
    finish([factories.ended(row, SUCCEEDED) for row in factories.take(worker, limit=number)], worker_id=worker.pk)


def shown(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    return page.content.decode()


def test_the_list_tells_how_far_each_is(client: Client) -> None:
    make(description="a newsletter")
    run(1)
    assert BatchCountDelta.objects.exists()
    log_in(client, "view_batch")
    page = shown(client, url("batch_changelist"))
    assert "a newsletter" in page
    assert '<progress value="1" max="4" aria-label="progress"></progress> 1/4' in page
    assert '<span class="job-state job-running">running</span>' in page
    assert "Cancel waiting jobs" not in page


def test_the_list_takes_the_same_statements_for_any_number(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    for at in range(30):
        factories.make_batch(description=f"mail the {at}th", total=3)
    with django_assert_max_num_queries(8):
        assert "mail the 29th" in shown(admin_client, url("batch_changelist"))
    assert "mail the 7th" in shown(admin_client, url("batch_changelist") + "?q=the+7th")
    assert "mail the 7th" not in shown(admin_client, url("batch_changelist") + "?state=succeeded")


def test_a_page_has_the_jobs_by_state_with_links_to_them(client: Client) -> None:
    with Batch(description="outer", on_success=sample.tell_batch) as outer:
        inner = make(3, description="inner")
        sample.echo.enqueue()
    run(1)
    log_in(client, "view_batch", "view_job")
    page = shown(client, url("batch_change", inner.id))
    address = url("job_changelist") + f"?batch={inner.id}"
    assert f'<dt>ready</dt><dd><a href="{address}&amp;state=ready">2</a></dd>' in page
    assert f'<dt>succeeded</dt><dd><a href="{address}&amp;state=succeeded">1</a></dd>' in page
    assert f'<a href="{url("batch_change", outer.id)}">#{outer.id}</a>' in page
    page = shown(client, url("batch_change", outer.id))
    assert "All succeeded" in page
    assert sample.tell_batch.name in page
    assert f'<a href="{url("batch_change", inner.id)}">#{inner.id} <bdi>inner</bdi></a>' in page


def test_a_huge_batch_shows_its_stored_counts(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_COUNTED", 3)
    row = factories.make_batch(total=9, succeeded=2, dead=1)
    page = shown(admin_client, url("batch_change", row.pk))
    for words, number in (("succeeded", 2), ("dead", 1), ("not finished", 6)):
        assert f"<dt>{words}</dt>" in page
        assert f">{number}</a></dd>" in page


def test_an_empty_batch_says_so(admin_client: Client) -> None:
    assert "No jobs." in shown(admin_client, url("batch_change", make(0).id))


def test_many_batches_inside_are_shown_in_part(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django_jobs.admin.batches import page

    monkeypatch.setattr(page, "MAX_CHILD_BATCHES", 1)
    outer = factories.make_batch()
    for _ in range(2):
        factories.make_batch(parent=outer)
    assert "Only the first are shown." in shown(admin_client, url("batch_change", outer.pk))


class TestCancelling:
    def test_who_may_cancels_and_it_is_logged(self, client: Client) -> None:
        batch = make(description="stop me")
        log_in(client, "view_batch", "cancel_job")
        assert "Cancel batch</button>" in shown(client, url("batch_change", batch.id))
        page = client.post(url("batch_cancel", batch.id), follow=True).content.decode()
        assert "Cancelled; 4 waiting or running jobs affected." in page
        assert "Cancel batch</button>" not in page
        assert (batch.row.state, batch.row.cancelled_by) == ("cancelled", "bo")
        assert LogEntry.objects.get().get_change_message() == "Cancelled."
        page = client.post(url("batch_cancel", batch.id), follow=True).content.decode()
        assert "Nothing was changed: finished, or cancelled before." in page

    def test_selected_ones_are_cancelled(self, client: Client) -> None:
        batches = [make(1), make(1)]
        log_in(client, "view_batch", "cancel_job")
        data = {"action": "cancel_selected", "_selected_action": [batch.id for batch in batches]}
        page = client.post(url("batch_changelist"), data, follow=True).content.decode()
        assert "Cancelled; 2 waiting or running jobs" in page
        assert set(Job.objects.values_list("state", flat=True)) == {"cancelled"}

    def test_who_may_not_cannot(self, client: Client) -> None:
        batch = make()
        log_in(client, "view_batch")
        assert "Cancel batch</button>" not in shown(client, url("batch_change", batch.id))
        assert client.post(url("batch_cancel", batch.id)).status_code == 403
        assert client.get(url("batch_cancel", batch.id)).status_code == 404
        assert batch.row.cancelled_at is None

    def test_who_may_not_see_batches_cannot_cancel_them(self, client: Client) -> None:
        batch = make()
        log_in(client, "cancel_job", "view_job")
        assert client.post(url("batch_cancel", batch.id)).status_code == 403
        assert client.get(url("batch_change", batch.id)).status_code == 403
        assert client.get(url("batch_changelist")).status_code == 403

    def test_one_that_is_gone_says_so(self, admin_client: Client) -> None:
        for answer in (
            admin_client.get(url("batch_change", 7), follow=True),
            admin_client.post(url("batch_cancel", 7), follow=True),
        ):
            assert "Batch 7 no longer exists: it was pruned." in answer.content.decode()


def test_a_batch_is_changed_by_no_form(admin_client: Client) -> None:
    batch = make()
    assert admin_client.post(url("batch_change", batch.id), {"description": "x"}).status_code == 403
    assert admin_client.get(url("batch_changelist") + "add/").status_code in {302, 403, 404}
    assert BatchRow.objects.get().description == ""


class TestTheJobsOfABatch:
    def test_the_list_of_jobs_is_filtered_by_batch_and_state(self, admin_client: Client) -> None:
        batch, other = make(3), make(2)
        run(1)
        page = shown(admin_client, url("job_changelist") + f"?batch={batch.id}")
        assert page.count('class="action-select"') == 3
        page = shown(admin_client, url("job_changelist") + f"?batch={batch.id}&state=ready")
        assert page.count('class="action-select"') == 2
        job = other.jobs.first()
        assert job is not None
        page = shown(admin_client, url("job_changelist") + f"?batch={batch.id}&ids={job.pk}")
        assert page.count('class="action-select"') == 0
        assert admin_client.get(url("job_changelist") + "?batch=x").status_code == 302

    def test_a_jobs_page_names_its_batch(self, client: Client) -> None:
        batch = make(1, description="a newsletter")
        job = batch.jobs.get()
        log_in(client, "view_job", "view_batch")
        assert f'<a href="{url("batch_change", batch.id)}">a newsletter #' in shown(client, url("job_change", job.pk))


def test_the_dead_jobs_of_a_failed_batch_are_offered_to_be_redriven(client: Client) -> None:
    batch = factories.make_batch(total=2, dead=2, state="failed")
    fine = factories.make_batch(total=2, succeeded=2, state="succeeded")
    user = log_in(client, "view_batch", "redrive_deadletter")
    assert "Redrive" not in shown(client, url("batch_change", batch.pk))
    user.user_permissions.add(Permission.objects.get(codename="view_deadletter"))
    address = f"{url('deadletter_bulk_start', 'redrive')}?batch={batch.pk}"
    assert f'<a href="{address}" class="button">Redrive its dead jobs (2)</a>' in shown(
        client, url("batch_change", batch.pk)
    )
    assert "Redrive" not in shown(client, url("batch_change", fine.pk))
