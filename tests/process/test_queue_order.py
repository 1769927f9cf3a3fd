"""In which order workers take from their queues, as told on the command line."""

from __future__ import annotations

import pytest

from django_jobs.models import Attempt
from django_jobs.policy.priorities import BACKGROUND_PRIORITY
from tests.sampleapp import jobs as sample

from .conftest import StartWorker


def order_of_queues() -> list[str]:
    """Return the queues of what ran, in the order of the starts."""
    return list(Attempt.objects.order_by("started_at", "pk").values_list("job__queue_name", flat=True))


def test_strict_order_takes_nothing_of_a_later_queue_before_the_earlier_is_empty(
    start_worker: StartWorker,
) -> None:
    sample.echo.using(queue_name="later", priority=50).enqueue_many([(at,) for at in range(30)])
    sample.echo.using(queue_name="earlier", priority=BACKGROUND_PRIORITY).enqueue_many([(at,) for at in range(10)])
    sample.echo.using(queue_name="earlier").enqueue_many([(at,) for at in range(30)])
    worker = start_worker("--queues", "earlier,later", "--strict", "--burst", "--concurrency", "1")
    worker.wait_for_line("earlier, later, strictly in this order")
    assert worker.wait() == 0
    assert order_of_queues() == ["earlier"] * 30 + ["later"] * 30 + ["earlier"] * 10, "the background comes last"


def test_under_weights_no_queue_starves_whatever_its_jobs_priority(start_worker: StartWorker) -> None:
    sample.doze.using(queue_name="heavy", priority=50).enqueue_many([(0.01,)] * 150)
    sample.doze.using(queue_name="light", priority=-50).enqueue_many([(0.01,)] * 30)
    worker = start_worker("--queues", "heavy:3,light:1", "--burst", "--concurrency", "1")
    worker.wait_for_line(r"heavy \(weight 3\), light \(weight 1\)")
    assert worker.wait() == 0
    order = order_of_queues()
    assert len(order) == 180
    assert order.index("light") < 100
    assert order[:100].count("heavy") > order[:100].count("light")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strict",), "--strict serves queues in the order of --queues"),
        (("--queues", "a:3,b:1", "--strict"), "expected --queues NAME,NAME without weights"),
        (("--queues", "a:0"), "expected a weight from 1 to 1000, got 'a:0'"),
        (("--queues", "a:1001,b"), "expected a weight from 1 to 1000, got 'a:1001'"),
        (("--queues", "a,,b"), "--queues: expected 1 to 100 printable characters"),
    ],
)
def test_a_wrong_order_of_queues_is_refused_by_name(
    start_worker: StartWorker, arguments: tuple[str, ...], said: str
) -> None:
    worker = start_worker(*arguments)
    assert worker.wait() != 0
    assert said in " ".join(worker.output.split())
