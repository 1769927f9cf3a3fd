"""The id of a message in spans, of jobs that are in several databases."""

from __future__ import annotations

import pytest

from django_jobs.conf.database import use_database
from django_jobs.enqueueing import enqueue_ids
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample

from .conftest import Telemetry

pytestmark = pytest.mark.usefixtures("eu_and_us")


def test_spans_name_the_database_of_a_job(traced: Telemetry) -> None:
    enqueued = sample.do_nothing.using(database="eu").enqueue()
    (number,) = enqueue_ids(sample.do_nothing.using(database="us"), [{}])
    assert number == enqueued.pk
    for alias in ("eu", "us"):
        with use_database(alias):
            drain()
    expected = [f"eu:{number}", f"us:{number}"]
    for spans in (traced.producers, traced.consumers):
        assert [(span.attributes or {})["messaging.message.id"] for span in spans] == expected
