"""Many workers on several hosts share one PostgreSQL: evenly, and at a cost for each that does not grow with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from django_jobs.models import Attempt, Worker
from django_jobs.store.queues import pause, resume
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.required import is_missing
from tests.sampleapp import jobs as sample
from tests.simulated_hosts import on_host

from .conftest import PRIVATE_DATABASE, StartWorker, migrated
from .running import ended

if chosen_vendor() != "postgresql":
    pytest.skip("statements are counted by pg_stat_statements", allow_module_level=True)

from tests.private.counting_postgresql import CountingPostgreSQL, TableChanges

pytestmark = [pytest.mark.release, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

HOSTS, PROCESSES = 4, 2
WORKERS = HOSTS * PROCESSES
JOBS_EACH = 150
JOB_SECONDS = 0.1
DEADLINE_SECONDS = 240
IDLE_WORKERS = 20
HEARTBEAT = 'UPDATE "django_jobs_worker" SET "heartbeat_at"'
FIRST_PRUNING = 'DELETE FROM "django_jobs_deadletterhour"'
"""Near the end of what each worker does once after its start, and then every five minutes."""
HEARTBEATS_EACH = 6
MAX_STATEMENTS_PER_HEARTBEAT = 6
"""One heartbeat every five seconds: 1.2 statements a second for a moment. A minute's mean is tested with the duties."""


@pytest.fixture(scope="module")
def migrated_server() -> Iterator[CountingPostgreSQL]:
    """Have ``server`` be one that counts."""
    with migrated(CountingPostgreSQL()) as server:
        yield server


def test_workers_on_four_hosts_share_a_backlog_evenly_at_no_more_statements_a_job(
    start_worker: StartWorker, server: CountingPostgreSQL
) -> None:
    hosts = [on_host(f"host-{number}") for number in range(HOSTS)]
    if not all(hosts):
        is_missing("UTS namespaces: unshare, by root or where users may have namespaces")

    alone, statements_alone = _drain(start_worker, server, hosts[:1], processes=1)
    shares, statements = _drain(start_worker, server, hosts, processes=PROCESSES)

    assert alone == [JOBS_EACH]
    assert len(shares) == WORKERS
    assert all(0.8 * JOBS_EACH <= share <= 1.2 * JOBS_EACH for share in shares), shares
    assert statements / WORKERS <= 1.3 * statements_alone


def _drain(
    start_worker: StartWorker, server: CountingPostgreSQL, hosts: Sequence[Sequence[str]], *, processes: int
) -> tuple[list[int], int]:
    """Drain as many jobs for each worker; return what each has finished, and the statements that they sent."""
    number = len(hosts) * processes
    known = set(Worker.objects.values_list("pk", flat=True))
    running = [start_worker("--processes", str(processes), "--concurrency", "2", before=host) for host in hosts]
    own = Worker.objects.exclude(pk__in=known)
    wait_until(lambda: own.count() == number, "all workers to register", seconds=DEADLINE_SECONDS)
    assert sorted(Counter(own.values_list("hostname", flat=True)).values()) == [processes] * len(hosts)
    assert set(ended(*sample.doze.enqueue_many([(JOB_SECONDS,)] * 5 * number))) == {"succeeded"}

    pause("default")
    sample.doze.enqueue_many([(JOB_SECONDS,)] * JOBS_EACH * number)
    Attempt.objects.all().delete()
    server.forget_statements()
    resume("default")
    wait_until(lambda: _finished(server) == JOBS_EACH * number, "all jobs to end", seconds=DEADLINE_SECONDS)
    statements = sum(server.statements(PRIVATE_DATABASE).values())
    for worker in running:
        assert worker.stop() == 0, worker.output
    return list(Counter(Attempt.objects.values_list("worker_id", flat=True)).values()), statements


def _finished(server: CountingPostgreSQL) -> int:
    """Return the rows of the statements that finish jobs: to ask for it is no statement in the jobs' database."""
    return server.rows(PRIVATE_DATABASE, "WITH ended AS MATERIALIZED")


def test_idle_workers_send_few_statements_and_write_no_rows_that_stay(
    start_worker: StartWorker, server: CountingPostgreSQL
) -> None:
    before = server.table_changes(PRIVATE_DATABASE)
    server.forget_statements()
    start_worker("--processes", str(IDLE_WORKERS))

    def changes() -> dict[str, TableChanges]:
        return {name: now.since(before[name]) for name, now in server.table_changes(PRIVATE_DATABASE).items()}

    wait_until(
        lambda: changes()["django_jobs_worker"].inserted == IDLE_WORKERS, "all to register", seconds=DEADLINE_SECONDS
    )
    wait_until(lambda: _calls(server, FIRST_PRUNING) >= IDLE_WORKERS, "all to prune", seconds=DEADLINE_SECONDS)
    settled = changes()
    server.forget_statements()
    number = IDLE_WORKERS * HEARTBEATS_EACH
    wait_until(lambda: _heartbeats(server) >= number, "their heartbeats", seconds=DEADLINE_SECONDS)

    assert sum(server.statements(PRIVATE_DATABASE).values()) <= MAX_STATEMENTS_PER_HEARTBEAT * _heartbeats(server)
    wait_until(lambda: changes()["django_jobs_worker"].hot >= number, "the server to count", seconds=DEADLINE_SECONDS)
    written = {name: now.since(settled[name]) for name, now in changes().items()}
    assert written["django_jobs_worker"].updated * 20 <= number
    assert {name for name, one in written.items() if one.inserted} <= {
        "django_jobs_rollup",
        "django_jobs_jobidcheckpoint",
    }


def _heartbeats(server: CountingPostgreSQL) -> int:
    return _calls(server, HEARTBEAT)


def _calls(server: CountingPostgreSQL, beginning: str) -> int:
    return sum(calls for text, calls in server.statements(PRIVATE_DATABASE).items() if text.startswith(beginning))
