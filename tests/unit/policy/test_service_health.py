"""The sentences of health: which facts say what, how grave it is, and which page cures it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from django_jobs.management.rows import sentence_text
from django_jobs.policy.health import NOBODY_CLAIMS_SECONDS, IdleWorker
from django_jobs.policy.health_sentence import Page, Sentence, Severity
from django_jobs.policy.service_facts import LateSchedule, QueueFacts, ServiceFacts, Some
from django_jobs.policy.service_health import describe_health, find_problems

LONG = NOBODY_CLAIMS_SECONDS + 1
WELL = ServiceFacts(served=[None])


def queue(name: str = "mail", waited: float = 1.0, **facts: bool) -> QueueFacts:
    return QueueFacts(name=name, waiting=3, waited_seconds=waited, **facts)


def texts(facts: ServiceFacts) -> list[str]:
    return [sentence_text(sentence) for sentence in find_problems(facts)]


def only(**facts: object) -> Sentence:
    (sentence,) = describe_health(replace(WELL, **facts))
    return sentence


def test_all_is_well_with_the_facts() -> None:
    assert sentence_text(only()) == "All is well: 1 worker is alive, no job waits."
    fine = only(served=[None, frozenset({"mail"})], queues=[queue(waited=2.5)])
    assert (fine.key, fine.severity) == ("well", Severity.FINE)
    assert sentence_text(fine) == "All is well: 2 workers are alive, waiting jobs: 3, the first for 2.5 s."


def test_no_worker_at_all_is_one_problem_and_not_one_a_queue() -> None:
    facts = ServiceFacts(served=[], queues=[queue(waited=1_000)])
    (problem,) = find_problems(facts)
    assert (problem.key, problem.page) == ("no_worker", Page.WORKERS)
    assert sentence_text(problem).startswith("No workers are running: ")
    assert [sentence.key for sentence in describe_health(facts)] == ["no_worker"]


def test_queues_that_are_served_in_time_are_no_problem() -> None:
    served = [frozenset({"mail"}), frozenset({"documents"})]
    assert texts(ServiceFacts(served=served, queues=[queue("mail", 299), queue("documents")])) == []
    assert texts(replace(WELL, queues=[queue(waited=300)])) == []


def test_a_queue_that_no_worker_serves_is_named_once_and_leads_to_its_page() -> None:
    facts = ServiceFacts(served=[frozenset({"documents"})], queues=[queue(waited=1_000)])
    assert texts(facts) == ["1 queue has ready jobs and no worker: mail"]
    (problem,) = find_problems(facts)
    assert (problem.page, problem.target) == (Page.QUEUES, "mail")
    assert texts(replace(facts, are_workers_known=False)) == ["1 queue has had a job ready for 16 min 40 s: mail"]


def test_several_queues_are_one_sentence_that_leads_to_the_list() -> None:
    facts = ServiceFacts(served=[frozenset({"documents"})], queues=[queue(name) for name in "abcdefg"])
    assert texts(facts) == ["7 queues have ready jobs and no worker: a, b, c, d, e …"]
    assert find_problems(facts)[0].target is None


def test_the_queue_that_waits_longest_comes_first() -> None:
    facts = replace(WELL, queues=[queue("a", 301), queue("b", 4_000), queue("c")])
    assert texts(facts) == ["2 queues have had jobs ready for up to 1 h 6 min: b, a"]


@pytest.mark.parametrize(
    ("idle", "waited", "is_full", "is_problem"),
    [
        ([IdleWorker(queues=None, seconds=LONG)], LONG, False, True),
        ([IdleWorker(queues=None, seconds=NOBODY_CLAIMS_SECONDS)], LONG, False, False),
        ([IdleWorker(queues=frozenset({"documents"}), seconds=LONG)], LONG, False, False),
        ([IdleWorker(queues=None, seconds=LONG)], NOBODY_CLAIMS_SECONDS, False, False),
        ([IdleWorker(queues=None, seconds=LONG)], LONG, True, False),
        ([], LONG, False, False),
    ],
)
def test_a_queue_that_idle_workers_miss_is_named(
    idle: list[IdleWorker], waited: float, is_full: bool, is_problem: bool
) -> None:
    said = texts(replace(WELL, idle=idle, queues=[queue(waited=waited, is_full=is_full)]))
    expected = "A job of the queue mail has been ready for 31 s, and 1 idle worker that could claim it did not."
    assert said == ([expected] if is_problem else [])


def test_schedules_are_late_after_five_minutes() -> None:
    late = [LateSchedule(schedule_id=at, name=f"s{at}", seconds=299 + at) for at in range(3)]
    (problem,) = find_problems(replace(WELL, late_schedules=late))
    assert sentence_text(problem) == "1 schedule is late, by up to 5 min 1 s: s2. No scheduler fires it."
    assert (problem.page, problem.target) == (Page.SCHEDULES, 2)
    assert find_problems(replace(WELL, late_schedules=late), max_wait_seconds=400) == []


@pytest.mark.parametrize(
    ("facts", "text", "page", "target"),
    [
        ({"stale_workers": 2}, "2 workers have no heartbeat; their jobs will be rescued.", Page.WORKERS, None),
        ({"died_recently": 1}, "1 job died in the last hour and is not dealt with.", Page.DEAD_LETTERS, None),
        ({"queues": [queue(is_paused=True)]}, "1 paused queue has jobs: mail", Page.QUEUES, "mail"),
        (
            {"unknown_jobs": Some(number=2, example="shop.send")},
            "2 jobs wait for a worker that knows their name, such as shop.send", Page.JOBS, None,
        ),
        (
            {"broken_schedules": Some(number=1, example_id=7, example="nightly")},
            "1 schedule cannot be fired: nightly", Page.SCHEDULES, 7,
        ),
        (
            {"open_breakers": Some(number=1, example_id=7, example="pay")},
            "1 circuit breaker is open and jobs wait at it: pay", Page.LIMITS, 7,
        ),
        (
            {"open_breakers": Some(number=2, example_id=7, example="pay")},
            "2 circuit breakers are open and jobs wait at them, such as pay", Page.LIMITS, None,
        ),
        (
            {"statistics_lag_seconds": 61.0},
            "Workers are behind with updating the statistics, by 1 min 1 s.", Page.WORKERS, None,
        ),
        (
            {"clock_skew_seconds": -5.0},
            "This host's clock is 5.0 s behind the database's. Synchronize both by NTP.", None, None,
        ),
    ],
)  # fmt: skip
def test_what_somebody_should_look_at_is_a_warning(
    facts: dict[str, object], text: str, page: Page | None, target: object
) -> None:
    warning = only(**facts)
    assert (warning.severity, sentence_text(warning)) == (Severity.WARNING, text)
    assert (warning.page, warning.target) == (page, target)
    assert find_problems(replace(WELL, **facts)) == []


def test_dead_letters_that_are_not_new_are_a_note_beside_all_is_well() -> None:
    first, note = describe_health(replace(WELL, open_dead_letters=5))
    assert (first.severity, note.severity) == (Severity.FINE, Severity.NOTE)
    assert sentence_text(note) == "5 older dead letters are open."
    keys = [sentence.key for sentence in describe_health(replace(WELL, open_dead_letters=5, died_recently=5))]
    assert keys == ["new_dead_letters"]


def test_problems_come_before_warnings() -> None:
    facts = ServiceFacts(served=[], died_recently=1, clock_skew_seconds=9, open_dead_letters=2)
    severities = [sentence.severity for sentence in describe_health(facts)]
    assert severities == [Severity.PROBLEM, Severity.WARNING, Severity.WARNING, Severity.NOTE]
