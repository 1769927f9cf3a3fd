"""``manage.py jobs stop-worker`` and ``kill-worker``."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_jobs.policy.states import State
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def _jobs(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", *arguments, stdout=out)
    return out.getvalue().strip()


def test_a_worker_is_asked_to_stop_or_to_end_at_once() -> None:
    worker = factories.make_worker()
    other = str(factories.make_worker().pk)

    assert _jobs("stop-worker", str(worker.pk)) == f"worker {worker.pk} ends once its running jobs have ended"
    assert json.loads(_jobs("kill-worker", other, "--json")) == {"kill_requested": int(other)}

    worker.refresh_from_db()
    assert worker.stop_requested_by.endswith("(shell)")
    for verb, pk in (("stop-worker", worker.pk), ("kill-worker", other)):
        with pytest.raises(CommandError, match="requested before"):
            _jobs(verb, str(pk))
    with pytest.raises(CommandError, match=r"expected the id of a living worker, got 987654; .* lists them"):
        _jobs("kill-worker", "987654")


def test_the_job_to_blame_must_run_under_the_worker() -> None:
    worker = factories.make_worker()
    blamed = factories.make_job(State.RUNNING, worker=worker)
    ready = factories.make_job()

    with pytest.raises(CommandError, match=f"expected a running job of worker {worker.pk}, got job {ready.pk}"):
        _jobs("kill-worker", str(worker.pk), "--job", str(ready.pk))
    assert "ends at its next heartbeat" in _jobs("kill-worker", str(worker.pk), "--job", str(blamed.pk))

    assert blamed.refresh().cancel_requested_at is not None
    worker.refresh_from_db()
    assert worker.kill_requested_at is not None
