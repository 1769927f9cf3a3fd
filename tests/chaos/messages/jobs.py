"""The job that messages become; its topic is named by the environment, since each seed has one of its own."""

from __future__ import annotations

import os

from django_jobs import job
from django_jobs.brokers import consumes

BROKER = "chaos"
TOPIC, GROUP, STREAM = "DJANGO_JOBS_TEST_TOPIC", "DJANGO_JOBS_TEST_GROUP", "DJANGO_JOBS_TEST_STREAM"
"""Variables of the environment."""


@job(name="chaos.receive")
def receive(number: int, key: str) -> None:
    """Only its row counts; no worker runs it."""


if TOPIC in os.environ:
    consumes(BROKER, os.environ[TOPIC], group=os.environ.get(GROUP) or None, stream=bool(os.environ.get(STREAM)))(
        receive
    )
