"""Hooks around an enqueue: what they are told, and what they cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_jobs import chain, enqueue
from django_jobs.enqueueing import enqueue_ids
from django_jobs.exceptions import ConfigurationError
from django_jobs.hooks import Insertion, add_hook, remove_hook
from django_jobs.models import Job
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


class Recorder:
    """Keeps what it is told, and may suppress what an enqueue raises."""

    def __init__(self) -> None:
        self.seen: list[Insertion] = []
        self.errors: list[BaseException] = []
        self.order: list[str] = []

    @contextmanager
    def around_enqueue(self, insertion: Insertion) -> Iterator[None]:
        self.seen.append(insertion)
        self.order.append("before")
        assert insertion.ids == insertion.jobs == ()
        try:
            yield
        except ConfigurationError as error:
            self.errors.append(error)
        self.order.append("after")

    def on_enqueue(self, definition: Any) -> dict[str, Any]:
        self.order.append("on_enqueue")
        return {}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    add_hook(recorder)
    yield recorder
    remove_hook(recorder)


WAYS: dict[str, tuple[Callable[[], Any], list[str], int]] = {
    "enqueue": (lambda: sample.echo.enqueue(1), ["default"], 1),
    "another queue": (lambda: sample.echo.using(queue_name="mails").enqueue(1), ["mails"], 1),
    "of the job": (lambda: sample.named.enqueue(1), ["documents"], 1),
    "by name": (lambda: enqueue(sample.echo.name, 1), ["default"], 1),
    "async": (lambda: async_to_sync(sample.echo.aenqueue)(1), ["default"], 1),
    "many": (lambda: sample.echo.enqueue_many([(1,), (2,)]), ["default"], 2),
    "none": (lambda: sample.echo.enqueue_many([]), ["default"], 0),
    "limited": (lambda: sample.bill.enqueue(7), ["default"], 1),
    "unique": (lambda: [sample.sync.enqueue(7)], ["default"], 1),
    "after": (lambda: sample.echo.after(Job.objects.latest("pk")).enqueue(1), ["default"], 1),
    "ids": (lambda: enqueue_ids(sample.echo, [{"value": 1}]), ["default"], 1),
    "ids of limited": (lambda: enqueue_ids(sample.bill, [{"customer_id": 1, "number": 1}]), ["default"], 1),
    "chain": (lambda: chain(sample.echo.s(1), sample.named.s()).enqueue(), ["default", "documents"], 2),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_enqueueing_is_one_insertion(recorder: Recorder, way: str) -> None:
    do, queue_names, count = WAYS[way]
    if way == "after":
        sample.echo.enqueue(0)
        recorder.seen.clear()
    before = set(Job.objects.values_list("pk", flat=True))
    do()
    (insertion,) = recorder.seen
    assert insertion.queue_names == queue_names
    assert insertion.count == count
    assert set(insertion.ids) == set(Job.objects.values_list("pk", flat=True)) - before
    if not way.startswith("ids"):
        assert [job.pk for job in insertion.jobs] == insertion.ids


def test_a_stream_tells_its_number_at_the_end(recorder: Recorder) -> None:
    counts = []

    def arguments() -> Iterator[tuple[int]]:
        for number in range(3):
            counts.append(recorder.seen[0].count)
            yield (number,)

    assert sample.echo.enqueue_stream(arguments()) == 3
    assert (counts, recorder.seen[0].count) == ([None] * 3, 3)


def test_it_is_entered_before_the_metadata_is_asked_for(recorder: Recorder) -> None:
    sample.echo.enqueue(1)
    assert recorder.order == ["before", "on_enqueue", "after"]


def test_an_exception_is_raised_though_a_hook_suppresses_it(recorder: Recorder) -> None:
    with pytest.raises(ConfigurationError, match="enqueue_stream: expected a job without a key") as caught:
        sample.sync.enqueue_stream([(1,)])
    assert recorder.errors == [caught.value]


def test_what_is_no_context_manager_refuses_the_enqueue() -> None:
    class Wrong:
        def around_enqueue(self, insertion: Insertion) -> str:
            return "no manager"

    wrong = Wrong()
    add_hook(wrong)
    try:
        with pytest.raises(ConfigurationError, match=r"Wrong\.around_enqueue: expected a plain function that"):
            sample.echo.enqueue(1)
    finally:
        remove_hook(wrong)
    assert not Job.objects.exists()
