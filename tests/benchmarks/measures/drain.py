"""How fast one worker process works off what waits, and whether it gets slower on the way.

Counted from the first start to the last finish as the attempts record them, so that the start of the
process is left out. Ten tenths of the jobs, in the order in which they finished, show the trend.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import pairwise

from django.db.models import Max

from django_jobs import Batch
from django_jobs.models import Attempt, Job
from django_jobs.store.queues import pause, resume

from ..backlog import fill_of
from ..jobs import LIMITED, noop
from ..limits import base
from ..limits.base import Limit
from ..queue_names import QUEUE, WARM_UP_QUEUE
from ..servers.base import ENGINE_TABLES, LIMIT_TABLES
from ..spent import Spent
from ..worker import LimitWorker, WorkerProcess
from .place import Figures, Place

BULK = 10_000
WARM_UP_JOBS = 1_000
TENTHS = 10
ONE_A_CLAIM = 10
"""A tenth of the jobs are enough to tell how fast the limit is with a claim and a finish for each."""
LONGEST_SECONDS = 1_800.0
POLL_SECONDS = 0.1


def engine(name: str, place: Place, *, processes: int = 1, fresh: bool = True) -> Figures:
    """Drain with ``manage.py runworker`` under what the measure ``name`` says.

    The worker has run some jobs of another queue by the time the queue that is measured is opened to it:
    the first tenth is no slower than the others because modules and connections are new. ``fresh``: empty tables first,
    and let the server be done with what filled them.
    """
    number = place.sizes.drain
    measured = LIMITED.get(name, noop)
    if fresh:
        place.empty_engine()
    fill_of(name)(place.server, place.sizes, "django_jobs")
    first_id = _last_id(Job) + 1
    pause(QUEUE)
    with Batch() if name == "batch" else nullcontext():
        for start in range(0, number, BULK):
            measured.enqueue_many([(x,) for x in range(start, min(start + BULK, number))])
    if fresh:
        place.server.min_age(*ENGINE_TABLES)
    arguments = ["--processes", str(processes), *(["--concurrency", "1"] if name == "drain_one_thread" else [])]
    running = WorkerProcess(QUEUE, WARM_UP_QUEUE, arguments=arguments, workers=processes)
    with _held(name, place), running as worker:
        _work_off(worker, first_id, WARM_UP_JOBS, _warm_up)
        cpu = worker.cpu_seconds()
        with Spent(place.server) as spent:
            _work_off(worker, first_id, number, lambda: resume(QUEUE))
        used = None if cpu is None else worker.cpu_seconds() - cpu
        peak = worker.peak_mib()
    figures = _figures(_engine_stamps(first_id, number))
    rate = figures["jobs_per_second"]
    return figures | _cpu(number, used, spent) | {"of_delete": rate, "of_one": rate, "peak_mib": peak}


def limit(name: str, place: Place) -> Figures:
    """Drain the same jobs by the limit program; the plain drain by its two other ways as well."""
    number = place.sizes.drain
    with _filled_limit(name, place) as program, _held(name, place), Spent(place.server) as spent:
        figures = _figures(base.drain(program, number))
    figures |= _cpu(number, spent.client_cpu, spent)
    if name != "drain":
        return figures
    with _filled_limit(name, place) as program:
        by_deleting = base.drain_by_deleting(program, number)
    with _filled_limit(name, place, number // ONE_A_CLAIM) as program:
        one = _figures(base.drain(program, number // ONE_A_CLAIM, batch=1))["jobs_per_second"]
    return figures | {"of_delete": None if by_deleting is None else number / by_deleting, "of_one": one}


def engine_two(place: Place) -> Figures:
    """Drain with two worker processes, and with one."""
    one, two = (engine("drain", place, processes=processes)["jobs_per_second"] for processes in (1, 2))
    return {"jobs_per_second": two, "two_to_one": two / one}


def limit_two(place: Place) -> Figures:
    """Drain with two processes of the limit's program, and with one."""
    one, two = (_limit_processes(place, processes) for processes in (1, 2))
    return {"jobs_per_second": two, "two_to_one": two / one}


def _limit_processes(place: Place, processes: int) -> float:
    with _filled_limit("drain", place), ExitStack() as running:
        programs = [running.enter_context(LimitWorker(place.vendor, way="drain")) for _ in range(processes)]
        for program in programs:
            program.go()
        told = [program.told() for program in programs]
    return place.sizes.drain / (max(ended for _, ended, _ in told) - min(began for began, _, _ in told))


def _held(name: str, place: Place) -> AbstractContextManager[None]:
    return place.server.hold_snapshot() if name == "snapshot" else nullcontext()


@contextmanager
def _filled_limit(name: str, place: Place, number: int | None = None) -> Iterator[Limit]:
    number = number or place.sizes.drain
    with place.limit() as program:
        fill_of(name)(place.server, place.sizes, "limit")
        for start in range(0, number, BULK):
            program.insert_many([json.dumps({"x": x}) for x in range(start, min(start + BULK, number))])
        place.server.min_age(*LIMIT_TABLES)
        yield program


def _cpu(number: int, client_cpu: float | None, spent: Spent) -> Figures:
    """Return the microseconds of CPU that a job took of its worker, and of the server."""
    return {
        "worker_us": None if client_cpu is None else 1e6 * client_cpu / number,
        "server_us": spent.per_job(number)["server_us"],
    }


def _warm_up() -> None:
    noop.using(queue_name=WARM_UP_QUEUE).enqueue_many([{"x": 0}] * WARM_UP_JOBS)


def _work_off(worker: WorkerProcess, first_id: int, number: int, start: Callable[[], object]) -> None:
    """Start and wait for so many attempts at jobs from ``first_id`` on.

    Watches the highest attempt's id, which costs nothing, and counts only once that may be all.
    """
    attempts = Attempt.objects.filter(job_id__gte=first_id)
    tried, count = _last_id(Attempt), attempts.count()
    deadline = time.monotonic() + LONGEST_SECONDS
    start()
    while _last_id(Attempt) < tried + number or attempts.count() < count + number:
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{attempts.count() - count} of {number} jobs ran within {LONGEST_SECONDS} s")
        time.sleep(POLL_SECONDS)


def _last_id(model: type[Job | Attempt]) -> int:
    return int(model.objects.aggregate(last=Max("id"))["last"] or 0)


def _engine_stamps(first_id: int, number: int) -> list[tuple[float, int]]:
    """Return the stamps of the measured jobs, all of which must have succeeded."""
    attempts = Attempt.objects.filter(job_id__gte=first_id, job__queue_name=QUEUE, outcome="succeeded")
    rows = list(attempts.values_list("started_at", "finished_at"))
    if len(rows) < number:
        raise RuntimeError(f"{len(rows)} of {number} jobs succeeded")
    began = min(started for started, _ in rows)
    return [(began.timestamp(), 0), *sorted((finished.timestamp(), 1) for _, finished in rows)]


def _figures(stamps: list[tuple[float, int]]) -> Figures:
    """Return the rate, and the rates of its tenths, of (seconds, jobs finished then) in order, the start first."""
    total = sum(number for _, number in stamps)
    marks = [stamps[0][0]]
    done_at_mark = [0]
    done = 0
    for seconds, number in stamps[1:]:
        done += number
        if done >= total * len(marks) // TENTHS:
            marks.append(seconds)
            done_at_mark.append(done)
    tenths = [
        (more - less) / max(end - begin, 1e-6)
        for (begin, end), (less, more) in zip(pairwise(marks), pairwise(done_at_mark), strict=True)
    ]
    return {
        "jobs_per_second": total / (stamps[-1][0] - stamps[0][0]),
        "tenths": tenths,
        "last_to_first": tenths[-1] / tenths[0],
    }
