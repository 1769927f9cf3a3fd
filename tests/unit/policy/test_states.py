import importlib

import pytest

from django_jobs.models import Attempt, DeadLetter, Job
from django_jobs.policy.outcomes import AttemptOutcome, DeathReason
from django_jobs.policy.states import (
    FINAL_STATES,
    TRANSITIONS,
    WAITING_STATES,
    State,
    is_legal,
    source_states,
)
from tests.databases import ROOT

STORE = ROOT / "django_jobs/store"

ALL_STATES = {"blocked", "scheduled", "ready", "running", "succeeded", "cancelled", "dead"}


def test_there_are_seven_states():
    assert {state.value for state in State} == ALL_STATES


def test_a_job_may_be_stored_in_each_state_and_in_no_other():
    field = Job._meta.get_field("state")
    [constraint] = [constraint for constraint in Job._meta.constraints if constraint.name == "django_jobs_job_state"]
    [(lookup, allowed)] = constraint.condition.children

    assert lookup == "state__in"
    assert set(allowed) == ALL_STATES
    assert {value for value, _ in field.choices} == ALL_STATES
    assert max(map(len, ALL_STATES)) <= field.max_length


def test_the_columns_of_attempts_and_dead_letters_hold_every_outcome_and_reason():
    outcome = Attempt._meta.get_field("outcome")
    reason = DeadLetter._meta.get_field("reason")

    assert {value for value, _ in outcome.choices} == {value.value for value in AttemptOutcome}
    assert {value for value, _ in reason.choices} == {value.value for value in DeathReason}
    assert max(len(value) for value in AttemptOutcome) <= outcome.max_length
    assert max(len(value) for value in DeathReason) <= reason.max_length


def test_every_state_is_either_final_or_running_or_waiting():
    assert FINAL_STATES | WAITING_STATES | {State.RUNNING} == set(State)
    assert not FINAL_STATES & WAITING_STATES


def test_only_a_redrive_leaves_a_final_state():
    leaving = {(verb, before) for verb, pairs in TRANSITIONS.items() for before, _ in pairs if before in FINAL_STATES}

    assert leaving == {("redrive", State.DEAD)}


def test_every_state_but_the_final_ones_can_be_left_and_every_state_can_be_reached():
    before = {old for pairs in TRANSITIONS.values() for old, _ in pairs}
    after = {new for pairs in TRANSITIONS.values() for _, new in pairs}

    assert before == set(State) - {State.SUCCEEDED, State.CANCELLED}
    assert after | WAITING_STATES == set(State)


def test_nothing_but_a_claim_leads_to_running_and_nothing_but_a_finish_to_succeeded():
    def verbs_to(state):
        return {verb for verb, pairs in TRANSITIONS.items() for _, new in pairs if new is state}

    assert verbs_to(State.RUNNING) == {"claim"}
    assert verbs_to(State.SUCCEEDED) == {"finish"}
    assert verbs_to(State.CANCELLED) == {"finish", "cancel"}


@pytest.mark.parametrize("verb", sorted(TRANSITIONS.keys() - {"release"}))
def test_each_verb_is_a_function_in_a_file_of_its_own(verb):
    (path,) = (path for path in STORE.rglob(f"{verb}.py") if f"\ndef {verb}(" in path.read_text())
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    assert callable(getattr(importlib.import_module(module), verb))


@pytest.mark.parametrize(
    ("verb", "before", "after", "legal"),
    [
        ("claim", State.READY, State.RUNNING, True),
        ("claim", State.SCHEDULED, State.RUNNING, False),
        ("finish", State.RUNNING, State.SCHEDULED, True),
        ("finish", State.READY, State.SUCCEEDED, False),
        ("cancel", State.RUNNING, State.CANCELLED, False),
        ("cancel", State.BLOCKED, State.CANCELLED, True),
        ("no such verb", State.READY, State.RUNNING, False),
    ],
)
def test_legal_is_what_the_table_has(verb, before, after, legal):
    assert is_legal(verb, before, after) is legal


def test_sources_are_the_states_from_which_a_verb_may_start():
    assert source_states("cancel") == WAITING_STATES
    assert source_states("finish") == {State.RUNNING}
    assert source_states("rescue", State.READY) == {State.RUNNING}
    assert source_states("rescue", State.SUCCEEDED) == frozenset()
