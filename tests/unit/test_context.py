from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from django_jobs import Cancel, context, current_job
from django_jobs.context import (
    MAX_PROGRESS_MESSAGE_LENGTH,
    PROGRESS_INTERVAL_SECONDS,
    JobContext,
    activate_context,
)
from django_jobs.exceptions import NoCurrentJobError, PayloadTooLargeError, SerializationError
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.cancel import cancel
from tests.factories import make_job


def make_context(saved=None, **fields):
    values = {
        "job_id": 7,
        "name": "shop.send",
        "queue_name": "mail",
        "priority": 3,
        "attempt": 2,
        "max_attempts": 5,
        "enqueued": datetime(2026, 1, 1, tzinfo=UTC).timestamp(),
        "metadata": {},
        "save": (saved if saved is not None else []).append,
    }
    return JobContext(**(values | fields))


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that stands still until a test moves it."""
    hands = SimpleNamespace(now=100.0)
    hands.monotonic = lambda: hands.now
    monkeypatch.setattr(context, "time", hands)
    return hands


def test_outside_of_a_job_there_is_no_current_one():
    with pytest.raises(NoCurrentJobError, match=r"current_job\(\) works inside a job that a worker runs"):
        current_job()


def test_inside_a_job_the_current_one_is_that_whose_run_it_is():
    outer, inner = make_context(), make_context(job_id=8)

    with activate_context(outer):
        assert current_job() is outer
        with activate_context(inner):
            assert current_job().job_id == 8
        assert current_job() is outer

    with pytest.raises(NoCurrentJobError):
        current_job()


def test_a_job_that_raises_is_no_longer_the_current_one():
    with pytest.raises(ZeroDivisionError), activate_context(make_context()):
        raise ZeroDivisionError

    with pytest.raises(NoCurrentJobError):
        current_job()


def test_the_instant_of_the_enqueue_is_aware():
    assert make_context().enqueued_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.usefixtures("clock")
def test_the_first_progress_is_saved_and_the_next_within_the_interval_is_not():
    saved = []
    one = make_context(saved)

    one.set_progress(1, 10, "begun")
    one.set_progress(2, 10)

    assert saved == [{"progress_done": 1, "progress_total": 10, "progress_message": "begun"}]


def test_progress_is_saved_again_once_the_interval_is_over(clock):
    saved = []
    one = make_context(saved)

    one.set_progress(1, 10)
    clock.now += PROGRESS_INTERVAL_SECONDS
    one.set_progress(5, 10)

    assert [note["progress_done"] for note in saved] == [1, 5]


@pytest.mark.usefixtures("clock")
def test_the_last_progress_and_a_changed_total_are_always_saved():
    saved = []
    one = make_context(saved)

    one.set_progress(1, 10)
    one.set_progress(2, 20)
    one.set_progress(20, 20)
    one.set_progress(21, None)

    assert [(note["progress_done"], note["progress_total"]) for note in saved] == [
        (1, 10),
        (2, 20),
        (20, 20),
        (21, None),
    ]


@pytest.mark.parametrize(
    ("done", "total", "error"),
    [
        (
            "50%",
            100,
            r"set_progress\(done=...\): expected a whole number such as 50, got '50%'; text goes into message=",
        ),
        (1, "100", r"set_progress\(total=...\): expected a whole number"),
        (None, 1, r"done=.*got None"),
        (float("nan"), 1, r"done=.*got nan"),
        (1, float("inf"), r"total=.*got inf"),
        (2**63, None, r"done=.*from 0 to 9223372036854775807, got 9223372036854775808"),
        (1, 2**70, r"total=.*got 1180591620717411303424"),
        (1 << 5000, 1, r"done=.*got one of 5001 bits"),
        (-1, 1, r"done=.*got -1"),
        (Decimal(1), 1, r"done=.*got Decimal"),
    ],
)
def test_progress_that_no_database_takes_is_refused_in_the_job(done, total, error):
    saved = []
    with pytest.raises((TypeError, ValueError), match=error):
        make_context(saved).set_progress(done, total)
    assert saved == []


def test_progress_is_stored_as_plain_numbers_and_text():
    class Text(str):
        __slots__ = ()

    saved = []
    make_context(saved).set_progress(7.9, True, Text("seven"))
    [note] = saved
    assert note == {"progress_done": 7, "progress_total": 1, "progress_message": "seven"}
    assert {type(value) for value in note.values()} == {int, str}


def test_a_message_fits_its_column_and_carries_no_nul():
    saved = []
    make_context(saved).set_progress(1, message="a\0" + "é" * 500)

    [note] = saved
    assert note["progress_message"] == "a" + "é" * (MAX_PROGRESS_MESSAGE_LENGTH - 1)
    assert Job._meta.get_field("progress_message").max_length == MAX_PROGRESS_MESSAGE_LENGTH


@pytest.mark.parametrize("message", ["\ud800", "half \udfff"])
def test_a_message_that_no_database_takes_is_made_one_that_it_takes(message):
    saved = []
    make_context(saved).set_progress(1, message=message)

    saved[0]["progress_message"].encode("utf-8")


def test_metadata_is_saved_as_it_is_at_that_moment():
    saved = []
    one = make_context(saved, metadata={"tenant": 1})

    one.metadata["due"] = datetime(2026, 1, 1, tzinfo=UTC)
    one.save_metadata()
    one.metadata["due"] = None

    assert saved == [{"metadata": {"tenant": 1, "due": {"$type": "datetime", "value": "2026-01-01T00:00:00+00:00"}}}]


def test_metadata_that_json_cannot_carry_is_refused_and_not_saved():
    saved = []

    with pytest.raises(SerializationError, match=r"^shop\.send: metadata\['x'\]: expected a JSON value"):
        make_context(saved, metadata={"x": object()}).save_metadata()
    assert saved == []


@override_settings(DJANGO_JOBS={"ENQUEUE": {"MAX_PAYLOAD_BYTES": 20}})
def test_metadata_that_is_too_large_is_refused_and_not_saved():
    saved = []

    with pytest.raises(
        PayloadTooLargeError,
        match=r"shop\.send: metadata of .* is larger than ENQUEUE\['MAX_PAYLOAD_BYTES'\]",
    ):
        make_context(saved, metadata={"x": "y" * 20}).save_metadata()
    assert saved == []


@pytest.mark.django_db
def test_whether_it_was_asked_to_end_is_looked_up_once_a_second(clock, django_assert_num_queries):
    job = make_job(State.RUNNING)
    one = make_context(job_id=job.pk)
    with django_assert_num_queries(1):
        assert [one.cancel_requested for _ in range(100)] == [False] * 100
    cancel(job)
    assert not one.cancel_requested
    clock.now += 1
    assert one.cancel_requested
    clock.now += 1
    with django_assert_num_queries(0):
        assert one.cancel_requested


@pytest.mark.django_db
def test_a_request_is_an_attribute_and_a_check_that_raises(clock):
    job = make_job(State.RUNNING)
    one = make_context(job_id=job.pk)
    assert one.cancel_requested is False
    one.raise_if_cancelled()
    cancel(job)
    clock.now += 1
    assert one.cancel_requested is True
    with pytest.raises(Cancel, match="cancellation was requested"):
        one.raise_if_cancelled()


@pytest.mark.django_db(transaction=True)
def test_the_check_has_an_asynchronous_twin(clock):
    job = make_job(State.RUNNING)
    one = make_context(job_id=job.pk)
    async_to_sync(one.araise_if_cancelled)()
    cancel(job)
    clock.now += 1
    assert async_to_sync(one.acancel_requested)() is True
    with pytest.raises(Cancel, match="cancellation was requested"):
        async_to_sync(one.araise_if_cancelled)()


def test_when_the_tick_was_due_that_fired_it():
    due_at = datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert make_context(metadata={"due_at": due_at.isoformat()}).due_at == due_at
    assert make_context().due_at is None
    assert make_context(metadata={"due_at": 7}).due_at is None


def test_a_line_is_kept_with_the_name_of_its_level():
    lines = []
    one = make_context(log=SimpleNamespace(add=lambda **line: lines.append(line)))
    one.log("a")
    one.log("b", level="warning")
    one.log("c", level=25)
    assert [(line["level"], line["message"]) for line in lines] == [
        ("INFO", "a"),
        ("WARNING", "b"),
        ("Level 25", "c"),
    ]


@pytest.mark.parametrize("level", ["loud", True, -1, None, 10**6])
def test_a_level_that_there_is_not_is_refused(level):
    with pytest.raises(ValueError, match=r"log\(level=\.\.\.\): expected one of .*DEBUG"):
        make_context().log("a", level=level)


def test_a_line_is_lost_where_none_are_kept():
    make_context().log("a")
