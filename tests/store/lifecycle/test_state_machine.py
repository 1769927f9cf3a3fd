"""Random sequences of operations against a small model of a job: nothing lost, nothing finished without its claim.

``DJANGO_JOBS_TEST_LONG=1`` tries longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_jobs.models import Attempt, DeadLetter, Job, Worker
from django_jobs.policy.outcomes import SUCCEEDED, Outcome, Released, Snoozed
from django_jobs.policy.states import WAITING_STATES, State
from django_jobs.store.dialects.base.jobs import Claim
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.store.lifecycle.run_now import run_now
from tests.factories import RULES, ago, ended, failure, make_worker, take
from tests.sampleapp import jobs as sample

EXAMPLES, STEPS = (500, 100) if "DJANGO_JOBS_TEST_LONG" in os.environ else (25, 50)


@dataclass
class Model:
    """Expected job: the columns of its lifecycle, and the number of recorded attempts."""

    state: State
    max_attempts: int
    attempt: int = 0
    claim_number: int = 0
    worker_deaths: int = 0
    worker: int | None = None
    tries: int = 0
    is_asked: bool = False

    def is_held_by(self, claim: Claim, worker: int) -> bool:
        return self.state is State.RUNNING and (self.claim_number, self.worker) == (
            claim.claim_number,
            worker,
        )

    def goes_to(self, state: State, *, gives_back: bool = False, records: bool = True) -> None:
        self.state = State.CANCELLED if self.is_asked and state in WAITING_STATES else state
        self.attempt -= gives_back
        self.tries += records


def _fail(model: Model) -> None:
    model.goes_to(State.DEAD if model.attempt >= model.max_attempts else State.SCHEDULED)


OUTCOMES: dict[str, tuple[Outcome, Callable[[Model], None]]] = {
    "succeeds": (SUCCEEDED, lambda model: model.goes_to(State.SUCCEEDED)),
    "fails": (failure(), _fail),
    "fails for good": (failure(retry_in=None), lambda model: model.goes_to(State.DEAD)),
    "snoozes": (
        Snoozed(delay=timedelta(hours=1)),
        lambda model: model.goes_to(State.SCHEDULED, gives_back=True),
    ),
    "is stopped": (Released(started=True), lambda model: model.goes_to(State.READY, gives_back=True)),
    "never began": (
        Released(started=False),
        lambda model: model.goes_to(State.READY, gives_back=True, records=False),
    ),
}


class JobLife(RuleBasedStateMachine):
    """Two workers and some jobs. Claims are kept after their end, so that zombies finish them again."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[int, Model] = {}
        self.claims: list[tuple[Claim, int]] = []
        self._transaction: Any = transaction.atomic()
        self._transaction.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    @initialize()
    def start_workers(self) -> None:
        self.workers = [make_worker().pk, make_worker().pk]

    @rule(later=st.booleans(), max_attempts=st.integers(1, 3))
    def enqueue(self, later: bool, max_attempts: int) -> None:
        delay = {"run_after": timedelta(hours=1)} if later else {}
        job = sample.do_nothing.using(max_attempts=max_attempts, **delay).enqueue()
        self.jobs[job.pk] = Model(State.SCHEDULED if later else State.READY, max_attempts)

    @rule(by=st.integers(0, 1), limit=st.integers(1, 3))
    def claim(self, by: int, limit: int) -> None:
        worker = self.workers[by]
        claims = take(Worker(pk=worker), limit)
        assert len(claims) == min(limit, len(self._in(State.READY)))
        for claim in claims:
            model = self.jobs[claim.job_id]
            assert model.state is State.READY
            model.state, model.worker = State.RUNNING, worker
            model.attempt += 1
            model.claim_number += 1
            seen = (claim.attempt, claim.claim_number, claim.worker_deaths)
            assert seen == (model.attempt, model.claim_number, model.worker_deaths)
            self.claims.append((claim, worker))

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0), how=st.sampled_from(sorted(OUTCOMES)), as_other=st.sampled_from([0, 0, 0, 1]))
    def finish(self, which: int, how: str, as_other: int) -> None:
        claim, holder = self.claims[which % len(self.claims)]
        worker = self.workers[as_other] if as_other else holder
        outcome, apply = OUTCOMES[how]
        model = self.jobs[claim.job_id]
        stands = model.is_held_by(claim, worker)
        assert finish([ended(claim, outcome)], worker_id=worker) == ({claim.job_id} if stands else set())
        if stands:
            apply(model)

    @rule(which=st.integers(0, 1), ran=st.sampled_from(["all", "none", "nobody knows"]))
    def lose_worker(self, which: int, ran: str) -> None:
        worker = self.workers[which]
        held = {pk for pk, model in self.jobs.items() if (model.state, model.worker) == (State.RUNNING, worker)}
        known = {"all": held, "none": set(), "nobody knows": None}[ran]
        assert rescue_worker(worker, rules=RULES, ran=known) == len(held)
        for pk in held:
            model = self.jobs[pk]
            if ran == "none":
                model.goes_to(State.READY, gives_back=True, records=False)
                continue
            model.worker_deaths += 1
            quarantined = model.worker_deaths >= RULES.max_worker_deaths
            model.goes_to(State.DEAD if quarantined else State.READY, gives_back=not quarantined)
        self.workers[which] = make_worker().pk

    @rule()
    def time_passes(self) -> None:
        due = self._in(State.SCHEDULED)
        Job.objects.filter(pk__in=due).update(run_after=ago(seconds=1))
        assert promote() == len(due)
        for pk in due:
            self.jobs[pk].state = State.READY

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0), verb=st.sampled_from(["cancel", "redrive", "run now", "move"]))
    def staff(self, which: int, verb: str) -> None:
        pk = sorted(self.jobs)[which % len(self.jobs)]
        model, target = self.jobs[pk], Job.objects.filter(pk=pk)
        if verb == "cancel":
            assert cancel(target).cancelled == (model.state in WAITING_STATES)
            model.is_asked |= model.state is State.RUNNING
            model.state = State.CANCELLED if model.state in WAITING_STATES else model.state
        elif verb == "redrive":
            assert redrive(target, by="staff") == (model.state is State.DEAD)
            if model.state is State.DEAD:
                model.state, model.attempt, model.worker_deaths = State.READY, 0, 0
                model.is_asked = False
        elif verb == "move":
            assert move(target, to="mail") in {0, int(model.state in WAITING_STATES)}
            assert set_priority(target, priority=1) in {0, int(model.state in WAITING_STATES)}
        else:
            assert run_now(target) == (model.state is State.SCHEDULED)
            model.state = State.READY if model.state is State.SCHEDULED else model.state

    @invariant()
    def every_job_is_what_it_must_be(self) -> None:
        columns = ("pk", "state", "attempt", "claim_number", "worker_deaths")
        assert {row[0]: row[1:] for row in Job.objects.values_list(*columns)} == {
            pk: (model.state, model.attempt, model.claim_number, model.worker_deaths) for pk, model in self.jobs.items()
        }

    @invariant()
    def every_try_is_on_record_once(self) -> None:
        recorded: dict[int, list[int]] = {pk: [] for pk in self.jobs}
        for pk, claim_number in Attempt.objects.values_list("job_id", "claim_number"):
            recorded[pk].append(claim_number)
        for pk, model in self.jobs.items():
            assert len(set(recorded[pk])) == len(recorded[pk]) == model.tries
            assert model.attempt <= model.max_attempts

    @invariant()
    def a_dead_job_has_one_open_letter_and_no_other_has_any(self) -> None:
        letters = DeadLetter.objects.filter(status=DeadLetter.Status.OPEN).values_list("job_id", flat=True)
        assert sorted(letters) == sorted(self._in(State.DEAD))

    def _in(self, state: State) -> list[int]:
        return [pk for pk, model in self.jobs.items() if model.state is state]


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.timeout(1800)
def test_no_sequence_of_operations_breaks_the_model() -> None:
    run_state_machine_as_test(
        JobLife,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
