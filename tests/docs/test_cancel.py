"""The examples of the how-to on cancelling do what it says of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from django_jobs import signals
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.databases import ROOT
from tests.factories import make_job

pytestmark = pytest.mark.django_db

GIVE_UP, EXPORT = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "cancel.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(("state", "said"), [(State.READY, "it will not run"), (State.RUNNING, "it is running")])
def test_a_cancel_tells_whether_it_is_cancelled_now(
    state: State, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(GIVE_UP, {"job_id": make_job(state).pk})
    assert capsys.readouterr().out.startswith(said)


def test_a_long_job_notices() -> None:
    names: dict[str, Any] = {"__name__": "docs"}
    exec(EXPORT, names)
    done, given_up = names["export"].enqueue(3), names["export"].enqueue(3)

    def give_up(job: Job, **_: Any) -> None:
        if job.pk == given_up.pk:
            job.cancel()

    signals.job_started.connect(give_up)
    try:
        drain()
    finally:
        signals.job_started.disconnect(give_up)
    assert (done.refresh().state, done.result) == ("succeeded", 3)
    assert (given_up.refresh().state, given_up.progress_done) == ("cancelled", None)
