"""``manage.py jobs pause`` and ``max-running`` of queues that nobody knows."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_jobs.models import Queue
from django_jobs.policy.states import State
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("arguments", [("pause", "reprots"), ("max-running", "reprots", "3")])
def test_an_unknown_queue_is_refused_with_the_nearest_name_unless_it_is_to_be_made(arguments: tuple[str, ...]) -> None:
    factories.make_queue("reports")

    with pytest.raises(CommandError, match=r"got 'reprots'; did you mean 'reports'\? --create makes a new one"):
        call_command("jobs", *arguments)
    assert not Queue.objects.filter(name="reprots").exists()

    call_command("jobs", *arguments, "--create", stdout=StringIO())
    assert Queue.objects.filter(name="reprots").exists()


@pytest.mark.parametrize("state", [State.READY, State.SCHEDULED, State.BLOCKED])
def test_a_queue_is_known_by_its_waiting_jobs(state: State) -> None:
    factories.make_job(state, queue_name="nobody-serves-it")

    call_command("jobs", "pause", "nobody-serves-it", stdout=StringIO())

    assert Queue.objects.get(name="nobody-serves-it").is_paused


def test_status_names_queues_with_jobs_and_no_worker() -> None:
    out = StringIO()
    factories.make_worker(queues=["mail"])
    for name in ("mail", "reports"):
        factories.make_job(queue_name=name)

    call_command("jobs", "status", stdout=out)

    assert "1 queue has ready jobs and no worker: reports\n" in out.getvalue()
