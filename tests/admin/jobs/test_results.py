"""A job's page with a result that is stored in a file, or has expired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from django_jobs import chain, chord, group
from django_jobs.arguments.serialization import RESULT_EXPIRED
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.result_storage import ResultFile, write_result
from django_jobs.testing import drain
from tests.admin.staff import url
from tests.factories import ago, make_job
from tests.results import storing
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def _page(client: Client, job: Job) -> str:
    return client.get(url("job_change", job.pk)).content.decode()


@pytest.mark.slow
def test_the_page_names_the_size_of_a_file_and_links_to_the_whole(admin_client: Client, tmp_path: Path) -> None:
    with storing(tmp_path):
        text = '{"words":"' + "many " * 500 + '","api_key":"hunter2"}'
        file = write_result(text, job_id=7, day=ago().date(), storage="results")
        job = make_job(State.SUCCEEDED, result_data=file.reference())
        page = admin_client.get(url("job_change", job.pk)).content.decode()
        assert "The result is stored in a file: 2.5\xa0KB." in page
        assert "many" not in page
        whole = url("job_text", job.pk, "result")
        assert whole in page
        answer = admin_client.get(whole).content.decode()
        assert "many many" in answer
        assert "hunter2" not in answer


def test_a_result_that_has_expired_says_so(admin_client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job(State.SUCCEEDED, result_data=RESULT_EXPIRED)
    assert "The result has expired" in admin_client.get(url("job_change", job.pk)).content.decode()
    call_command("jobs", "show", str(job.pk))
    assert "has expired" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_no_error_of_the_page(
    admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(State.SUCCEEDED, result_data=ResultFile("broken", "a.json", 7).reference())
    assert admin_client.get(url("job_change", job.pk)).status_code == 200
    answer = admin_client.get(url("job_text", job.pk, "result")).content.decode()
    assert "cannot be read" in answer
    assert "the storage is down" in caplog.text


def test_results_that_are_passed_in_are_shown_as_values(admin_client: Client) -> None:
    value = {"total": 4711, "api_key": "hunter2"}
    first, second, third = chain(sample.echo.s(value), sample.echo.s(), sample.echo.s()).enqueue()
    assert f"(result of job {first.pk}, which is ready)" in _page(admin_client, second)
    drain()
    for job in (second, third):
        page = _page(admin_client, job)
        assert "&quot;total&quot;: 4711" in page[page.index("<h2>Arguments</h2>") : page.index("<h2>Metadata</h2>")]
        assert "hunter2" not in page
        assert "$type" not in page
    Job.objects.filter(pk=first.pk).purge(by="ada")
    assert "(result of a deleted job)" in _page(admin_client, second)


def test_very_many_results_are_not_read_for_a_page(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    *_, last = chord(group(sample.echo.s(number) for number in range(51)), sample.add_all.s()).enqueue()
    with django_assert_max_num_queries(20):
        page = _page(admin_client, last)
    assert "(results of more than 50 jobs)" in page
    assert "$type" not in page
