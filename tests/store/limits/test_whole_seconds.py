"""A limit that is due at a whole second, when the clock shows just that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine

from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db
WHOLE_SECOND = datetime(2030, 6, 1, 10, tzinfo=UTC)


def test_a_limit_is_due_at_the_whole_second_at_which_its_jobs_were_enqueued() -> None:
    with time_machine.travel(WHOLE_SECOND, tick=False):
        job = sample.bill.enqueue(1, 2)
        drain()
    assert job.refresh().state == State.SUCCEEDED
