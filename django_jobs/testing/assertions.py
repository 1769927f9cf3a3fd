"""Assert what was enqueued. A failure lists the jobs that were, those that come nearest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Unpack

from asgiref.sync import sync_to_async
from django.db import connections

from ..models import Job
from ..policy.plurals import counted
from ..redaction import redact_arguments
from .capture import capture_jobs
from .expectation import Expectation, ExpectedOptions, expect
from .targets import JobLike
from .text import shown_call

MAX_SHOWN = 10
"""Jobs that a failure lists."""


def assert_enqueued(
    job: JobLike,
    /,
    *,
    count: int | None = None,
    among: Iterable[Job] | None = None,
    **expected: Unpack[ExpectedOptions],
) -> Job:
    """Assert that a job was enqueued, whatever its state is now, and return it; of several the oldest.

    ``assert_enqueued(send_welcome.s(7), queue_name="mail", count=1)``. A call is compared with all its arguments, by
    position or keyword, defaults filled in; of a job or name any arguments match, or those of ``arguments={...}``.
    Options given to ``using(...)`` are expected, too. Values are compared as Python does, a matcher such as
    ``mock.ANY`` included, anywhere in a list or dict; model instances by their primary key.

    ``count``: exactly so many; default: at least one. ``among``: jobs to choose from, such as those that
    ``capture_jobs()`` caught; default: all in the database. The others are those of ``ExpectedOptions``.

    Raises AssertionError; ConfigurationError, ArgumentsError or UnknownJobError for an expectation that no job can
    meet.
    """
    __tracebackhide__ = True
    among = None if among is None else list(among)
    if count is not None and (type(count) is not int or count < 1):
        raise ValueError(f"assert_enqueued(count): expected 1 or more, got {count!r}; or use assert_not_enqueued(...)")
    expectation = expect(job, expected, caller="assert_enqueued")
    matching = _matching(expectation, among)
    if not matching or (count is not None and len(matching) != count):
        wanted = "a job" if count is None else f"{count} {'job' if count == 1 else 'jobs'}"
        raise AssertionError(
            f"expected {wanted} {expectation}, found {len(matching) or 'none'}\n{_report(expectation, among)}"
        )
    return matching[0]


def assert_not_enqueued(
    job: JobLike | None = None, /, *, among: Iterable[Job] | None = None, **expected: Unpack[ExpectedOptions]
) -> None:
    """Assert that no such job was enqueued; without ``job``, no job at all. Compares as ``assert_enqueued`` does."""
    __tracebackhide__ = True
    among = None if among is None else list(among)
    expectation = expect(job, expected, caller="assert_not_enqueued")
    if matching := _matching(expectation, among):
        raise AssertionError(f"expected no job {expectation}, found {len(matching)}\n{_listed(matching)}")


def enqueued(
    job: JobLike | None = None, /, *, among: Iterable[Job] | None = None, **expected: Unpack[ExpectedOptions]
) -> list[Job]:
    """Return the jobs that were enqueued, oldest first: all, or those that ``assert_enqueued`` would find."""
    return _matching(expect(job, expected, caller="enqueued"), among)


class assert_num_enqueued(capture_jobs):  # noqa: N801 - reads as a statement: with assert_num_enqueued(2)
    """Assert that the block enqueues exactly ``number`` jobs, or so many of those that ``assert_enqueued`` would find.

    Sync and async, as ``capture_jobs``, whose list it returns.
    """

    def __init__(self, number: int, job: JobLike | None = None, /, **expected: Unpack[ExpectedOptions]) -> None:
        super().__init__()
        if type(number) is not int or number < 0:
            raise ValueError(f"assert_num_enqueued(number): expected a whole number, zero or more, got {number!r}")
        self._number = number
        self._expectation = expect(job, expected, caller="assert_num_enqueued")

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        """Count what was enqueued."""
        __tracebackhide__ = True
        super().__exit__(kind, error, traceback)
        found = len(_matching(self._expectation, self.jobs))
        if kind is None and found != self._number:
            jobs = counted(self._number, "job")
            raise AssertionError(
                f"expected {jobs} {self._expectation} in this block, found {found or 'none'}\n"
                f"{_report(self._expectation, self.jobs)}"
            )


async def aassert_enqueued(
    job: JobLike,
    /,
    *,
    count: int | None = None,
    among: Iterable[Job] | None = None,
    **expected: Unpack[ExpectedOptions],
) -> Job:
    """Do what ``assert_enqueued`` does, in asynchronous code."""
    __tracebackhide__ = True
    return await sync_to_async(partial(assert_enqueued, job, count=count, among=among, **expected))()


async def aassert_not_enqueued(
    job: JobLike | None = None, /, *, among: Iterable[Job] | None = None, **expected: Unpack[ExpectedOptions]
) -> None:
    """Do what ``assert_not_enqueued`` does, in asynchronous code."""
    __tracebackhide__ = True
    await sync_to_async(partial(assert_not_enqueued, job, among=among, **expected))()


async def aenqueued(
    job: JobLike | None = None, /, *, among: Iterable[Job] | None = None, **expected: Unpack[ExpectedOptions]
) -> list[Job]:
    """Do what ``enqueued`` does, in asynchronous code."""
    return await sync_to_async(partial(enqueued, job, among=among, **expected))()


def _chosen(among: Iterable[Job] | None, name: str | None = None) -> list[Job]:
    if among is not None:
        return [job for job in among if name is None or name == job.name]
    jobs = Job.objects.order_by("pk")
    return list(jobs if name is None else jobs.filter(name=name))


def _matching(expectation: Expectation, among: Iterable[Job] | None) -> list[Job]:
    return [job for job in _chosen(among, expectation.name) if not expectation.differences(job)]


def _report(expectation: Expectation, among: Iterable[Job] | None) -> str:
    """List the jobs of the expected name by the number of their differences, and then the newest others."""
    jobs = _chosen(among)
    of_name = [job for job in jobs if expectation.name in {None, job.name}]
    nearest = sorted(of_name, key=lambda job: (len(expectation.differences(job)), -job.pk))
    others = [job for job in reversed(jobs) if expectation.name not in {None, job.name}]
    lines = []
    for at, job in enumerate([*nearest, *others][:MAX_SHOWN]):
        found = expectation.shown_differences(job) if at < len(nearest) else []
        lines.append(f"  {_shown(job)}{': matches' if at < len(nearest) and not found else ''}")
        lines += [f"      {line}" for line in found]
    return _with_rest(lines, len(jobs)) + _hint_of_callbacks()


def _listed(jobs: Sequence[Job]) -> str:
    return _with_rest([f"  {_shown(job)}" for job in jobs[:MAX_SHOWN]], len(jobs))


def _with_rest(lines: list[str], number: int) -> str:
    if not number:
        return "no job was enqueued"
    rest = [f"  and {number - MAX_SHOWN} more"] if number > MAX_SHOWN else []
    return "\n".join(["enqueued:", *lines, *rest])


def _shown(job: Job) -> str:
    arguments = redact_arguments(job.name, job.arguments)
    call = shown_call(job.name, arguments if isinstance(arguments, dict) else {})
    return f"#{job.pk} {call} {job.state}, queue {job.queue_name!r}"


def _hint_of_callbacks() -> str:
    """Say that callbacks wait for a commit, which may be what enqueues: a TestCase never commits."""
    waiting = [
        entry
        for connection in connections.all(initialized_only=True)
        for entry in connection.run_on_commit
        if not str(getattr(entry[1], "__module__", "")).startswith("django_jobs.")
    ]
    if not waiting:
        return ""
    return (
        f"\non_commit callbacks of this test that wait for a commit, and have enqueued nothing yet: {len(waiting)};"
        " in a TestCase use drained(), or captureOnCommitCallbacks(execute=True)"
    )
