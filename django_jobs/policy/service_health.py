"""The health of the service in sentences: what is wrong, how grave it is, and the page where it is cured.

The dashboard, ``jobs status``, ``jobs health`` and ``jobs top`` show the same sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from .doctor import CLOCK_TOLERANCE_SECONDS
from .health import queues_without_worker, workers_that_overlook
from .health_sentence import Page, Sentence, Severity
from .messages import Plural, gettext_noop, ngettext_lazy
from .service_facts import BrokerFacts, QueueFacts, ServiceFacts, Some

MAX_WAIT_SECONDS = 300.0
"""A job that is ready, or a schedule that is due, for longer is a problem."""
MAX_STATS_LAG_SECONDS = 60.0
MAX_NAMES = 5


def describe_health(
    facts: ServiceFacts, *, since_deploy: Sequence[Sentence] = (), max_wait_seconds: float = MAX_WAIT_SECONDS
) -> list[Sentence]:
    """Return the sentences, the gravest first; "all is well" is the first if there is no problem and no warning.

    ``since_deploy``: the sentences of ``policy/deploy_sentences.py``.
    """
    worse = [sentence for sentence in since_deploy if sentence.severity is Severity.WARNING]
    better = [sentence for sentence in since_deploy if sentence.severity is not Severity.WARNING]
    sentences = [*find_problems(facts, max_wait_seconds=max_wait_seconds), *worse, *_warnings(facts)]
    if not sentences and facts.served:
        sentences = [_all_is_well(facts)]
    return [*sentences, *better, *_notes(facts)]


def find_problems(facts: ServiceFacts, *, max_wait_seconds: float = MAX_WAIT_SECONDS) -> list[Sentence]:
    """Return the sentences about work that is not done: by them ``jobs health`` fails."""
    return [
        *_without_workers(facts),
        *_slow_queues(facts, max_wait_seconds),
        *_late_schedules(facts, max_wait_seconds),
        *find_broker_problems(facts.brokers),
    ]


def _without_workers(facts: ServiceFacts) -> Iterator[Sentence]:
    if not facts.served:
        text = _singular(
            gettext_noop(
                "No workers are running: no jobs run, and no statistics are updated. Start one: manage.py runworker"
            )
        )
        yield Sentence(key="no_worker", severity=Severity.PROBLEM, text=text, page=Page.WORKERS)
    names = _unserved(facts)
    if names:
        text = ngettext_lazy(
            "%(number)d queue has ready jobs and no worker: %(names)s",
            "%(number)d queues have ready jobs and no worker: %(names)s",
            len(names),
        )
        yield _about_queues("queue_without_worker", Severity.PROBLEM, text, names)


def _unserved(facts: ServiceFacts) -> list[str]:
    if not facts.served or not facts.are_workers_known:
        return []
    return queues_without_worker([queue.name for queue in _waiting(facts)], facts.served)


def _waiting(facts: ServiceFacts) -> list[QueueFacts]:
    return [queue for queue in facts.queues if queue.waiting and not (queue.is_paused or queue.is_suspended)]


def _slow_queues(facts: ServiceFacts, max_wait_seconds: float) -> Iterator[Sentence]:
    """Yield a sentence about queues whose jobs wait too long although a worker serves them, by waiting time."""
    unserved = set(_unserved(facts))
    waiting = [queue for queue in _waiting(facts) if facts.served and queue.name not in unserved]
    slow = sorted((queue for queue in waiting if queue.waited_seconds > max_wait_seconds), key=_by_wait)
    if slow:
        text = ngettext_lazy(
            "%(number)d queue has had a job ready for %(waited)s: %(names)s",
            "%(number)d queues have had jobs ready for up to %(waited)s: %(names)s",
            len(slow),
        )
        waited = timedelta(seconds=slow[0].waited_seconds)
        yield _about_queues("slow_queue", Severity.PROBLEM, text, [queue.name for queue in slow], waited=waited)
    for queue in waiting:
        number = workers_that_overlook(queue.name, queue.waited_seconds, facts.idle)
        if number and not queue.is_full and queue not in slow:
            text = ngettext_lazy(
                "A job of the queue %(names)s has been ready for %(waited)s, and %(number)d idle worker that could"
                " claim it did not.",
                "A job of the queue %(names)s has been ready for %(waited)s, and %(number)d idle workers that could"
                " claim it did not.",
                number,
            )
            waited = timedelta(seconds=queue.waited_seconds)
            yield _about_queues("missed_by_workers", Severity.PROBLEM, text, [queue.name], waited=waited)


def _by_wait(queue: QueueFacts) -> tuple[float, str]:
    return (-queue.waited_seconds, queue.name)


def _late_schedules(facts: ServiceFacts, max_wait_seconds: float) -> Iterator[Sentence]:
    late = [schedule for schedule in facts.late_schedules if schedule.seconds > max_wait_seconds]
    if late:
        text = ngettext_lazy(
            "%(number)d schedule is late, by up to %(late)s: %(names)s. No scheduler fires it.",
            "%(number)d schedules are late, by up to %(late)s: %(names)s. No scheduler fires them.",
            len(late),
        )
        yield Sentence(
            key="late_schedule",
            severity=Severity.PROBLEM,
            text=text,
            values={
                "names": _names([schedule.name for schedule in late]),
                "late": timedelta(seconds=max(schedule.seconds for schedule in late)),
            },
            page=Page.SCHEDULES,
            target=late[0].schedule_id if len(late) == 1 else None,
        )


def find_broker_problems(facts: BrokerFacts) -> Iterator[Sentence]:
    """Yield the sentences about messages that are not sent or not read; ``jobs doctor`` has them, too."""
    if facts.down:
        text = ngettext_lazy(
            "%(number)d broker has not taken messages for %(since)s: %(names)s. Kept and sent later: %(waiting)s.",
            "%(number)d brokers have not taken messages for up to %(since)s: %(names)s. Kept and sent later:"
            " %(waiting)s.",
            len(facts.down),
        )
        since = timedelta(seconds=max(facts.down.values()))
        waiting = f"{facts.waiting}{'+' if facts.is_more else ''}"
        values = {"names": _names(sorted(facts.down)), "since": since, "waiting": waiting}
        yield Sentence(key="broker_down", severity=Severity.PROBLEM, text=text, values=values, page=Page.BROKERS)
    if facts.unread:
        text = ngettext_lazy(
            "%(number)d message source has not been read for %(since)s, because its broker does not answer: %(names)s.",
            "%(number)d message sources have not been read for up to %(since)s, because their brokers do not answer:"
            " %(names)s.",
            len(facts.unread),
        )
        since = timedelta(seconds=max(facts.unread.values()))
        values = {"names": _names(sorted(facts.unread)), "since": since}
        yield Sentence(key="unread_source", severity=Severity.PROBLEM, text=text, values=values, page=Page.BROKERS)
    if facts.stopped_sources:
        text = ngettext_lazy(
            "%(number)d message source is stopped by poison: %(names)s. Resume it once it can be read.",
            "%(number)d message sources are stopped by poison: %(names)s. Resume them once they can be read.",
            len(facts.stopped_sources),
        )
        values = {"names": _names(sorted(facts.stopped_sources))}
        yield Sentence(key="stopped_source", severity=Severity.PROBLEM, text=text, values=values, page=Page.BROKERS)
    if facts.held_by_dead:
        text = ngettext_lazy(
            "%(number)d dead message holds back the later ones of its key: %(names)s. Redrive it, or resolve its dead"
            " letter.",
            "%(number)d dead messages hold back the later ones of their keys: %(names)s. Redrive them, or resolve their"
            " dead letters.",
            sum(facts.held_by_dead.values()),
        )
        values = {"names": _names(sorted(facts.held_by_dead))}
        yield Sentence(key="held_by_dead", severity=Severity.PROBLEM, text=text, values=values, page=Page.BROKERS)


def _warnings(facts: ServiceFacts) -> Iterator[Sentence]:
    if facts.stale_workers:
        text = ngettext_lazy(
            "%(number)d worker has no heartbeat; its jobs will be rescued.",
            "%(number)d workers have no heartbeat; their jobs will be rescued.",
            facts.stale_workers,
        )
        yield Sentence(key="no_heartbeat", severity=Severity.WARNING, text=text, page=Page.WORKERS)
    if facts.died_recently:
        text = ngettext_lazy(
            "%(number)d job died in the last hour and is not dealt with.",
            "%(number)d jobs died in the last hour and are not dealt with.",
            facts.died_recently,
        )
        yield Sentence(key="new_dead_letters", severity=Severity.WARNING, text=text, page=Page.DEAD_LETTERS)
    yield from _paused_queues(facts)
    yield from _about_some(facts)
    if facts.served and facts.statistics_lag_seconds > MAX_STATS_LAG_SECONDS:
        yield Sentence(
            key="late_statistics",
            severity=Severity.WARNING,
            text=_singular(gettext_noop("Workers are behind with updating the statistics, by %(lag)s.")),
            values={"lag": timedelta(seconds=facts.statistics_lag_seconds)},
            page=Page.WORKERS,
        )
    if abs(facts.clock_skew_seconds) > CLOCK_TOLERANCE_SECONDS:
        is_ahead = facts.clock_skew_seconds > 0
        ahead = gettext_noop("This host's clock is %(skew)s ahead of the database's. Synchronize both by NTP.")
        behind = gettext_noop("This host's clock is %(skew)s behind the database's. Synchronize both by NTP.")
        yield Sentence(
            key="clock_skew",
            severity=Severity.WARNING,
            text=_singular(ahead if is_ahead else behind),
            values={"skew": timedelta(seconds=abs(facts.clock_skew_seconds))},
        )


def _paused_queues(facts: ServiceFacts) -> Iterator[Sentence]:
    paused = [queue.name for queue in facts.queues if queue.waiting and queue.is_paused]
    if paused:
        text = ngettext_lazy(
            "%(number)d paused queue has jobs: %(names)s",
            "%(number)d paused queues have jobs: %(names)s",
            len(paused),
        )
        yield _about_queues("paused_queue", Severity.WARNING, text, paused)


def _about_some(facts: ServiceFacts) -> Iterator[Sentence]:
    if facts.unknown_jobs.number:
        text = ngettext_lazy(
            "%(number)d job waits for a worker that knows its name: %(example)s",
            "%(number)d jobs wait for a worker that knows their name, such as %(example)s",
            facts.unknown_jobs.number,
        )
        query = {"state": "scheduled", "name": facts.unknown_jobs.example}
        yield _about_one("unknown_job", text, facts.unknown_jobs, Page.JOBS, query=query)
    if facts.broken_schedules.number:
        text = ngettext_lazy(
            "%(number)d schedule cannot be fired: %(example)s",
            "%(number)d schedules cannot be fired, such as %(example)s",
            facts.broken_schedules.number,
        )
        yield _about_one("broken_schedule", text, facts.broken_schedules, Page.SCHEDULES)
    if facts.open_breakers.number:
        text = ngettext_lazy(
            "%(number)d circuit breaker is open and jobs wait at it: %(example)s",
            "%(number)d circuit breakers are open and jobs wait at them, such as %(example)s",
            facts.open_breakers.number,
        )
        yield _about_one("open_breaker", text, facts.open_breakers, Page.LIMITS)


def _about_one(key: str, text: Plural, some: Some, page: Page, *, query: Mapping[str, str] | None = None) -> Sentence:
    return Sentence(
        key=key,
        severity=Severity.WARNING,
        text=text,
        values={"example": some.example},
        page=page,
        target=some.example_id if some.number == 1 else None,
        query=query or {},
    )


def _about_queues(key: str, severity: Severity, text: Plural, names: Sequence[str], **values: object) -> Sentence:
    """Return a sentence that leads to the queue, or to the list if there are several."""
    return Sentence(
        key=key,
        severity=severity,
        text=text,
        values={"names": _names(names), **values},
        page=Page.QUEUES,
        target=names[0] if len(names) == 1 else None,
    )


def _notes(facts: ServiceFacts) -> Iterator[Sentence]:
    older = facts.open_dead_letters - facts.died_recently
    if older > 0:
        text = ngettext_lazy("%(number)d older dead letter is open.", "%(number)d older dead letters are open.", older)
        yield Sentence(key="open_dead_letters", severity=Severity.NOTE, text=text, page=Page.DEAD_LETTERS)


def _all_is_well(facts: ServiceFacts) -> Sentence:
    waiting = sum(queue.waiting for queue in facts.queues)
    waited = max((queue.waited_seconds for queue in facts.queues if queue.waiting), default=0.0)
    text = ngettext_lazy(
        "All is well: %(number)d worker is alive, waiting jobs: %(waiting)d, the first for %(waited)s.",
        "All is well: %(number)d workers are alive, waiting jobs: %(waiting)d, the first for %(waited)s.",
        len(facts.served),
    )
    if not waiting:
        text = ngettext_lazy(
            "All is well: %(number)d worker is alive, no job waits.",
            "All is well: %(number)d workers are alive, no job waits.",
            len(facts.served),
        )
    values = {"waiting": waiting, "waited": timedelta(seconds=waited)}
    return Sentence(key="well", severity=Severity.FINE, text=text, values=values, page=Page.WORKERS)


def _singular(text: str) -> Plural:
    return Plural(text, text, 1)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (" …" if len(names) > MAX_NAMES else "")
