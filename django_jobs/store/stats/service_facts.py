"""Describe the health of the service by what the dashboard has read."""

from __future__ import annotations

from ...policy.health_sentence import Sentence
from ...policy.service_facts import LateSchedule, QueueFacts, ServiceFacts
from ...policy.service_health import describe_health
from .dashboard import DashboardSnapshot


def describe_service(stats: DashboardSnapshot) -> list[Sentence]:
    """Return the sentences about the service, with what came with the newest deploy."""
    since = stats.since_deploy
    return describe_health(service_facts(stats), since_deploy=since.sentences if since else ())


def service_facts(stats: DashboardSnapshot) -> ServiceFacts:
    """Return the facts about the whole service. Of late schedules and queues at most as many as the dashboard lists."""
    working = [worker for worker in stats.workers if worker.concurrency and not worker.is_stale]
    return ServiceFacts(
        served=[frozenset(worker.queues) or None for worker in working],
        are_workers_known=not stats.are_workers_truncated,
        stale_workers=sum(worker.is_stale for worker in stats.workers),
        queues=[
            QueueFacts(
                name=queue.name,
                waiting=queue.waiting.number,
                waited_seconds=queue.oldest_seconds or 0.0,
                is_paused=queue.paused_at is not None,
                is_suspended=queue.is_suspended,
            )
            for queue in stats.queues
        ],
        late_schedules=[
            LateSchedule(
                schedule_id=tick.schedule_id,
                name=tick.schedule_name,
                seconds=(stats.now - tick.check_at).total_seconds(),
            )
            for tick in stats.ticks
            if tick.check_at < stats.now
        ],
        brokers=stats.brokers,
        broken_schedules=stats.broken_schedules,
        open_breakers=stats.open_breakers,
        unknown_jobs=stats.unknown_jobs,
        died_recently=stats.died_recently,
        open_dead_letters=stats.open_dead_letters.number,
        statistics_lag_seconds=(
            (stats.now - stats.rolled_up_until).total_seconds() if stats.rolled_up_until is not None else 0.0
        ),
        clock_skew_seconds=stats.clock_skew_seconds,
    )
