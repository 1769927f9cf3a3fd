"""The graph on a job's page: predecessors and successors."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from django_jobs import chain, chord, group
from django_jobs.models import Job
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.policy.states import State
from django_jobs.store.dependencies import neighbours as module
from django_jobs.store.dependencies.neighbours import neighbours
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.purge import delete_jobs
from tests import factories
from tests.admin.staff import url
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def shown(client: Client, job: Job) -> str:
    page = client.get(url("job_change", job.pk))
    assert page.status_code == 200
    return page.content.decode()


def test_a_chain_is_drawn_with_links_and_listed_as_text(admin_client: Client) -> None:
    first, second, third = chain(sample.echo.s(1), sample.add.s(1), sample.echo.s()).enqueue()
    page = shown(admin_client, second)
    assert page.count('class="job-graph"') == 1
    assert page.count('class="job-graph-line"') == 2
    assert page.count(f'<a href="{url("job_change", second.pk)}" aria-current="page">') == 1
    for job, words in ((first, "ready"), (third, "blocked")):
        assert f'<a href="{url("job_change", job.pk)}">#{job.pk} <bdi>{job.name}</bdi></a> ({words})' in page
        assert f"<title>#{job.pk} {job.name}: {words}</title>" in page
    assert f"Waiting for these jobs to succeed: #{first.pk}." in page
    places = [tuple(map(int, pair)) for pair in re.findall(r"translate\((\d+) (\d+)\)", page)]
    assert sorted(x for x, _ in places) == [8, 232, 456]


def test_a_dead_predecessor_is_named_as_what_is_in_the_way(admin_client: Client) -> None:
    first, second = chain(sample.echo.s(), sample.echo.s()).enqueue()
    worker = factories.make_worker()
    (claim,) = factories.take(worker)
    finish([factories.ended(claim, factories.failure(retry_in=None))], worker_id=worker.pk)
    page = shown(admin_client, second)
    assert f"Waiting for dead jobs: #{first.pk}. Retry them; it continues once they succeed" in page


def test_a_job_alone_has_no_drawing_and_costs_one_statement(
    admin_client: Client, django_assert_num_queries: Any
) -> None:
    job = factories.make_job()
    assert "job-graph" not in shown(admin_client, job)
    with django_assert_num_queries(1):
        assert neighbours(job.pk) is None


def test_a_large_graph_is_drawn_in_part_and_says_so(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    *_, last = chord(group(sample.echo.s(n) for n in range(500)), sample.add_all.s()).enqueue()
    with django_assert_max_num_queries(12):
        around = neighbours(last.pk)
    assert around is not None
    assert (len(around.jobs), around.is_truncated) == (module.MAX_JOBS, True)
    page = shown(admin_client, last)
    assert "The graph is larger; the nearest jobs are shown." in page
    assert len(page) < 120_000


def test_a_long_chain_is_cut_at_some_steps() -> None:
    jobs = chain(*[sample.do_nothing.s().without_result()] * 20).enqueue()
    around = neighbours(jobs[10].pk)
    assert around is not None
    assert sorted(around.jobs) == [job.pk for job in jobs[4:17]]
    assert around.is_truncated
    around = neighbours(chain(*[sample.do_nothing.s().without_result()] * 3).enqueue()[0].pk)
    assert around is not None
    assert (len(around.jobs), around.is_truncated) == (3, False)


def test_many_edges_are_drawn_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EDGES", 20)
    jobs = chain(group([sample.echo.s()] * 5), group([sample.add_all.s()] * 5)).enqueue()
    around = neighbours(jobs[0].pk)
    assert around is not None
    assert around.is_truncated
    assert sum(map(len, around.predecessors.values())) == 20


def test_a_deleted_job_of_the_graph_is_drawn_without_a_link(admin_client: Client) -> None:
    first, second = chain(sample.echo.s(), sample.echo.s()).enqueue()
    Job.objects.filter(pk=second.pk).update(state=State.CANCELLED, finished_at=factories.ago(days=1))
    delete_jobs([second.pk], using="default")
    page = shown(admin_client, first)
    assert f"#{second.pk} (deleted)" in page
    assert page.count('class="job-graph-line"') == 1


def test_the_drawing_keeps_a_strict_content_security_policy(admin_client: Client) -> None:
    name = "<script>alert(1)</script>"
    job = factories.make_job(State.BLOCKED, name=name)
    factories.make_dependency(job, factories.make_job(name=name))
    page = shown(admin_client, job)
    assert name not in page
    assert " style=" not in page


def test_the_engine_finishes_what_was_drawn(admin_client: Client) -> None:
    first, second = chain(sample.echo.s(1), sample.echo.s()).enqueue()
    worker = factories.make_worker()
    finish([factories.ended(row, SUCCEEDED) for row in factories.take(worker)], worker_id=worker.pk)
    assert "(succeeded)" in shown(admin_client, second)
    assert "Ready" in shown(admin_client, second)
    assert first.refresh().state == "succeeded"
