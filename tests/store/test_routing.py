"""The engine names its database in every statement: a router that offers a replica is never asked."""

from datetime import timedelta

import pytest
from django.db import router
from django.db.models import Q
from django.test import override_settings

from django_jobs import enqueue, find_job, once
from django_jobs.arguments.serialization import loads
from django_jobs.models import DeadLetter, Job, Queue, Worker
from django_jobs.policy.claim_cursors import ClaimCursors
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.dead_letters.alerts import take_alerts
from django_jobs.store.dead_letters.group_counts import prune_groups
from django_jobs.store.dead_letters.groups import find_group, groups_page
from django_jobs.store.dead_letters.mute import mute, unmute
from django_jobs.store.dead_letters.resolve import resolve, set_dead_letter_note
from django_jobs.store.enqueue.prune_keys import prune_keys, prune_once
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.claim import claim_by_priority, refresh_cursors
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
from django_jobs.store.lifecycle.progress import save_progress
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.lifecycle.prune import prune, prune_records
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.rescue import rescue, rescue_worker
from django_jobs.store.lifecycle.run_now import run_now
from django_jobs.store.queues import ensure_queues, pause, resume
from django_jobs.store.results.retention import expire_results
from django_jobs.store.search.id_checkpoints import (
    id_after,
    id_before,
    prune_id_checkpoints,
    record_id_checkpoint,
)
from django_jobs.store.search.keys import find_keys, find_once
from django_jobs.store.stats.counts import open_dead_letter_count, queue_stats
from django_jobs.store.stats.dashboard import dashboard_snapshot
from django_jobs.store.stats.rollup import prune_rollups, roll_up
from django_jobs.store.workers import (
    HeartbeatStatus,
    mark_lost_workers,
    record_heartbeat,
    register_worker,
    set_worker_state,
)
from tests.factories import RULES, ago, ended, failure, make_job, make_letter, make_worker, take
from tests.sampleapp.jobs import sync, sync_newest

pytestmark = pytest.mark.django_db
RETENTION = {State.SUCCEEDED: timedelta(days=7), State.DEAD: timedelta(days=7)}


class Asked(Exception):
    pass


class AskNobody:
    """Stands for a router that sends reads to a replica: whoever asks it is found out."""

    def db_for_read(self, model, **hints):
        if model._meta.app_label == "django_jobs":
            raise Asked(f"{model.__name__} is read where the router says")

    def db_for_write(self, model, **hints):
        if model._meta.app_label == "django_jobs":
            raise Asked(f"{model.__name__} is written where the router says")


@pytest.fixture
def _router():
    with override_settings(DATABASE_ROUTERS=["tests.store.test_routing.AskNobody"]):
        yield


def finish_one():
    worker = Worker.objects.using("default").first()
    lines = ClaimCursors()
    refresh_cursors(lines, queues=None)
    claims = claim_by_priority(lines, limit=2, worker_id=worker.pk)
    assert save_progress(claims[0], {"progress_done": 1}, worker_id=worker.pk)
    batch = [ended(claims[0], Succeeded(result="1")), ended(claims[1], failure(retry_in=None))]
    assert len(finish(batch, worker_id=worker.pk)) == 2


def job_api():
    job = Job.objects.order_by("pk").first()
    assert job.refresh().state == State.READY
    assert (job.error, job.result, job.last_attempt, list(job.attempts.all())) == (None, None, None, [])
    assert job.cancel()
    job.wait(timeout=1)


def everything_of_workers():
    worker_id = register_worker(hostname="h", pid=1, queues=None, concurrency=1, version="0")
    assert record_heartbeat(worker_id) is HeartbeatStatus.ALIVE
    assert set_worker_state(worker_id, Worker.State.STOPPED)
    assert mark_lost_workers(stale_after=timedelta(seconds=15)) == 0


def do_once():
    with once("charge", 3) as first:
        if first:
            first.store(1)
    assert first.stored == 1


CALLS = {
    "enqueue": lambda: enqueue("sample.named", 1),
    "enqueue with a key": lambda: [find_job("sample.named").using(idempotency_key="k").enqueue(1) for _ in range(2)],
    "enqueue a unique job": lambda: [sync_newest.enqueue(7) for _ in range(2)],
    "once": lambda: [do_once() for _ in range(2)],
    "keys": lambda: (sync.enqueue(7), find_keys("x"), find_once("x"), prune_keys(), prune_once(timedelta(0))),
    "expire results": expire_results,
    "promote": promote,
    "claim and finish": finish_one,
    "rescue": lambda: rescue(rules=RULES),
    "rescue a worker": lambda: rescue_worker(Worker.objects.using("default").first().pk, rules=RULES),
    "cancel": lambda: cancel(Job.objects.all()),
    "redrive": lambda: redrive(DeadLetter.objects.all()),
    "redrive a letter": lambda: redrive(DeadLetter.objects.first()),
    "purge": lambda: purge(Job.objects.all()),
    "move": lambda: (move(Job.objects.all(), to="mail"), set_priority(Job.objects.all(), priority=1)),
    "run now": lambda: run_now(Job.objects.all()),
    "prune": lambda: prune(RETENTION),
    "prune records": lambda: prune_records(RETENTION, alerted_for=timedelta(days=1)),
    "workers": everything_of_workers,
    "queues": lambda: (ensure_queues(["mail"]), pause("mail"), resume("mail"), Queue.objects.get(pk="mail")),
    "stats": lambda: (queue_stats(), open_dead_letter_count()),
    "alerts": lambda: take_alerts(period=timedelta(days=1)),
    "fold": lambda: (roll_up(min_age=timedelta(0)), prune_rollups(), prune_groups(timedelta(0))),
    "marks": lambda: (
        record_id_checkpoint(),
        id_before(ago(days=1)),
        id_after(ago(days=1)),
        prune_id_checkpoints(),
    ),
    "resolve": lambda: (resolve(Q()), set_dead_letter_note(1, note="known")),
    "groups": lambda: (mute(["f" * 32]), unmute(["f" * 32]), groups_page(), find_group("f" * 32)),
    "dashboard": dashboard_snapshot,
    "clock": database_now,
    "the API of a job": job_api,
}


@pytest.mark.parametrize("name", CALLS)
def test_no_verb_asks_a_router(name, request):
    make_job()
    make_job()
    make_job(State.SCHEDULED, run_after=ago(seconds=1))
    make_job(State.SUCCEEDED, enqueued_at=ago(days=9), finished_at=ago(days=8))
    make_job(State.RUNNING, worker=make_worker(state="lost", heartbeat_at=ago(days=60)))
    make_letter()
    orphan = make_letter(died_at=ago(days=8))
    DeadLetter.objects.filter(pk=orphan.pk).update(job=None)
    make_worker(state="stopped", heartbeat_at=ago(days=60))
    request.getfixturevalue("_router")

    CALLS[name]()


@pytest.mark.usefixtures("_router")
def test_the_router_of_these_tests_would_be_noticed():
    with pytest.raises(Asked):
        router.db_for_read(Job)


def test_a_model_argument_is_loaded_from_the_database_it_came_from():
    from tests.sampleapp.jobs import greet
    from tests.sampleapp.models import Customer

    customer = Customer.objects.create(name="Anna")
    greet.enqueue(customer)
    [one] = take(make_worker())

    with override_settings(DATABASE_ROUTERS=["tests.store.test_routing.AskNobody"]):
        assert loads(one.arguments)["customer"]._state.db == "default"
