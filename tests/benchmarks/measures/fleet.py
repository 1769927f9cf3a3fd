"""Whether many workers share one PostgreSQL fairly, at a cost that does not grow with their number.

Four hosts (each ``runworker`` has a host name of its own where the system allows that) with two processes each drain
jobs that take 50 to 150 ms. One process does an eighth of them beside: the same work and the same time for each. Then
jobs come one by one, ten a second, to a fleet that is idle.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from django_jobs.definition import JobDefinition
from django_jobs.models import Attempt
from django_jobs.store.queues import pause, resume
from tests.private.counting_postgresql import CountingPostgreSQL
from tests.simulated_hosts import on_host

from ..jobs import nap, noop
from ..queue_names import QUEUE, WARM_UP_QUEUE
from ..worker import WorkerProcess
from .own_server import at_server
from .place import Figures, Place

HOSTS, PROCESSES = 4, 2
WORKERS = HOSTS * PROCESSES
SINGLE_PAUSE_SECONDS = 0.1
WARM_UP_JOBS = 10
"""For each worker: enough that each of its threads has had one."""
LONGEST_SECONDS = 600.0
POLL_SECONDS = 0.2
BULK = 10_000


def engine(place: Place) -> Figures:
    """Drain by one process and by eight, then trickle."""
    if place.vendor != "postgresql":
        return {}
    figures: Figures = {}
    each = place.sizes.fleet_jobs // WORKERS
    with at_server(place, CountingPostgreSQL()) as server:
        alone = _drain(place, server, nap, each, hosts=1, processes=1)
        all_of_them = _drain(place, server, nap, each * WORKERS, hosts=HOSTS, processes=PROCESSES)
        quick = _drain(place, server, noop, place.sizes.drain, hosts=HOSTS, processes=PROCESSES)
        few = _trickle(place, server, place.sizes.singles, hosts=1, processes=1)
        many = _trickle(place, server, place.sizes.singles, hosts=HOSTS, processes=PROCESSES)
    return figures | {
        "largest_deviation": all_of_them["largest_deviation"],
        "statements_per_job": all_of_them["statements_per_job"],
        "statements_to_one": _ratio(all_of_them, alone),
        "noops_deviation": quick["largest_deviation"],
        "single_statements": many["statements_per_job"],
        "singles_to_one": _ratio(many, few),
    }


def _ratio(many: dict[str, float], one: dict[str, float]) -> float:
    return many["statements_per_job"] / one["statements_per_job"]


def _drain(
    place: Place, server: CountingPostgreSQL, measured: JobDefinition, number: int, *, hosts: int, processes: int
) -> dict[str, float]:
    """Have all wait, in a queue that is paused, until every worker has run jobs of another one."""
    place.empty_engine()
    pause(QUEUE)
    for start in range(0, number, BULK):
        measured.enqueue_many([(x,) for x in range(start, min(start + BULK, number))])
    with fleet(hosts, processes) as workers:
        _warm_up(workers, hosts * processes)
        return _counted(place, server, number, workers, lambda: resume(QUEUE))


def _trickle(place: Place, server: CountingPostgreSQL, number: int, *, hosts: int, processes: int) -> dict[str, float]:
    """Enqueue one job after another, with pauses in which it ends."""
    place.empty_engine()

    def enqueue() -> None:
        for x in range(number):
            noop.enqueue(x)
            time.sleep(SINGLE_PAUSE_SECONDS)

    with fleet(hosts, processes) as workers:
        _warm_up(workers, hosts * processes)
        return _counted(place, server, number, workers, enqueue)


@contextmanager
def fleet(hosts: int, processes: int) -> Iterator[Sequence[WorkerProcess]]:
    """Run one ``runworker`` a host, with so many processes each, until the end of the block."""
    arguments = ["--processes", str(processes)]
    with ExitStack() as running:
        workers = [
            running.enter_context(
                WorkerProcess(
                    QUEUE, WARM_UP_QUEUE, arguments=arguments, workers=processes, before=on_host(f"host-{number}")
                )
            )
            for number in range(hosts)
        ]
        yield workers


def _warm_up(workers: Sequence[WorkerProcess], number: int) -> None:
    """Let so many workers run jobs of another queue, then forget them."""
    nap.using(queue_name=WARM_UP_QUEUE).enqueue_many([(x,) for x in range(number * WARM_UP_JOBS)])
    _wait_for_attempts(number * WARM_UP_JOBS, workers)
    Attempt.objects.all()._raw_delete("default")


def _counted(
    place: Place,
    server: CountingPostgreSQL,
    number: int,
    workers: Sequence[WorkerProcess],
    start: Callable[[], object],
) -> dict[str, float]:
    """Return statements for each job without this process's own, and how far a worker's share is from the mean."""
    server.forget_statements()
    start()
    _wait_for_attempts(number, workers)
    statements = server.statements(place.server.name)
    own = sum(calls for text, calls in statements.items() if is_own(text))
    shares = Counter(Attempt.objects.values_list("worker_id", flat=True))
    mean = number / sum(worker.workers for worker in workers)
    return {
        "statements_per_job": (sum(statements.values()) - own) / number,
        "largest_deviation": max(abs(share - mean) / mean for share in shares.values()),
    }


def is_own(text: str) -> bool:
    """Tell whether only this process executes that statement."""
    return text.startswith(("SELECT COUNT(*)", "INSERT INTO django_jobs_job", 'INSERT INTO "django_jobs_job"'))


def _wait_for_attempts(number: int, workers: Sequence[WorkerProcess]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while (found := Attempt.objects.count()) < number:
        for worker in workers:
            worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {number} jobs ran within {LONGEST_SECONDS} s")
        time.sleep(POLL_SECONDS)
