"""Options of Celery's tasks and calls, and what they are as options of ``@job`` and ``using``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from django.utils import timezone

from ...conf.readers import MAX_ATTEMPTS_BOUND
from ...exceptions import ConfigurationError
from ...policy.limits import RateLimit
from .conf import Conf, check_serializer
from .exceptions import UnsupportedError

WITHOUT_EFFECT: Mapping[str, str] = {
    "acks_late": "a job is finished after its run, and one whose worker died runs again",
    "acks_on_failure_or_timeout": "a dead job is a dead letter, which staff may redrive",
    "reject_on_worker_lost": "a job whose worker died runs again, WORKER['MAX_WORKER_DEATHS'] times",
    "ignore_result": "the result is what the function returns; return None to keep none",
    "store_errors_even_if_ignored": "errors of all attempts are kept",
    "track_started": "a running job is STARTED",
    "send_events": "the admin, signals and metrics tell of every job",
    "trail": "jobs do not record what they enqueue",
    "compression": "arguments are rows of the database",
    "serializer": "arguments and results are JSON",
    "typing": "arguments are always checked",
    "throws": "every error is logged alike",
    "resultrepr_maxsize": "results are not logged",
    "shared": "tasks of all apps have one registry",
    "lazy": "tasks are made at once",
    "store_eager_result": "eager tasks are not stored",
}
"""Options of a task that change nothing here, each with the reason."""

CALL_WITHOUT_EFFECT = frozenset(
    {
        "add_to_parent", "compression", "connection", "delivery_mode", "ignore_result", "producer", "publisher",
        "retry", "retry_policy", "serializer", "shadow", "trail",
    }
)  # fmt: skip
"""Options of a call that change nothing here."""

_AFTER = "chain(a.s(), b.s()) and chord(...) do it, and on_success and on_failure of a base class or of a Batch"
UNSUPPORTED: Mapping[str, str] = {
    "link": _AFTER,
    "link_error": _AFTER,
    "chord": _AFTER,
    "chain": _AFTER,
    "task_id": "a job has an id of the database; to enqueue once, use task.job.using(idempotency_key=...).enqueue(...)",
    "time_limit": "give it to the task, or make another task with the limit",
    "soft_time_limit": "give it to the task, or make another task with the limit",
    "exchange": "name a queue: queue='...'",
    "routing_key": "name a queue: queue='...'",
    "group_id": "use group(...) or a Batch",
    "group_index": "use group(...) or a Batch",
    "root_id": "the jobs of a chain or a chord are shown as one graph in the admin",
    "parent_id": "the jobs of a chain or a chord are shown as one graph in the admin",
    "reply_to": "read the result with AsyncResult(id)",
    "mandatory": "an enqueue is an INSERT in your transaction",
    "immediate": "an enqueue is an INSERT in your transaction",
    "result_cls": "use AsyncResult",
    "router": "name a queue: queue='...'",
    "stamps": "use headers={...}, which self.request.headers returns",
    "stamped_headers": "use headers={...}, which self.request.headers returns",
}
"""Options of a call that are refused, each with the way here."""

TASK_UNSUPPORTED: Mapping[str, str] = {
    "pydantic": "validate inside the function: Model.model_validate(argument)",
    "Strategy": "the setting HOOKS surrounds runs",
    "Request": "the setting HOOKS surrounds runs",
    "shadow_name": "use current_job().log(...) or metadata",
    "exchange": UNSUPPORTED["exchange"],
    "routing_key": UNSUPPORTED["routing_key"],
    "delivery_mode": "jobs are rows of the database and always durable",
}
"""Options of a task that are refused, each with the way here."""

_UNITS = {"s": 1, "m": 60, "h": 3600}
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/([smh]))?")


@dataclass(frozen=True, slots=True)
class Route:
    """Destination of a task by the setting task_routes."""

    queue: str | None = None
    priority: int | None = None


def check_task_options(label: str, given: Mapping[str, Any]) -> None:
    """Refuse options of a task that would be needed and are not there. Raises UnsupportedError."""
    for name, way in TASK_UNSUPPORTED.items():
        if given.get(name) is not None and given.get(name) is not False:
            raise UnsupportedError(f"{label}: {name} is not supported: {way}")
    check_serializer(f"{label}: serializer", given.get("serializer"))


def job_keywords(task: Any, conf: Conf | None) -> dict[str, Any]:
    """Return the keywords of ``@job`` for a task; ``conf`` None: before the settings can be read."""
    label, get = f"task {task.name}", (conf.get if conf is not None else _nothing)
    route = find_route(task.name, get("task_routes"))
    rate = task.rate_limit if task.rate_limit is not None else get("task_default_rate_limit")
    keywords: dict[str, Any] = {
        "queue_name": task.queue or route.queue or get("task_default_queue"),
        "priority": first_given(task.priority, route.priority, get("task_default_priority")),
        "max_attempts": attempts(task),
        "timeout": _timeout(label, task, get),
        "rate_limit": rate_limit(label, rate),
        "expires": _expires(label, task.expires),
        "retry_on": (),
        **task.job_options,
    }
    return {name: value for name, value in keywords.items() if value is not None}


def attempts(task: Any) -> int:
    """Return how many attempts a job of the task has, the first included."""
    retries = task.max_retries
    if task.autoretry_for and "max_retries" in task.retry_kwargs:
        retries = task.retry_kwargs["max_retries"]
    if retries is None:
        return MAX_ATTEMPTS_BOUND
    return min(max(int(retries), 0) + 1, MAX_ATTEMPTS_BOUND)


def using_options(label: str, given: Mapping[str, Any], conf: Conf) -> dict[str, Any]:
    """Return the options of ``using`` for those of one call. Raises UnsupportedError and ConfigurationError."""
    using: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or (name == "eta" and given.get("countdown") is not None):
            continue
        if name in UNSUPPORTED:
            raise UnsupportedError(f"{label}: {name}= is not supported: {UNSUPPORTED[name]}")
        if name in CALL_WITHOUT_EFFECT:
            if name == "serializer":
                check_serializer(f"{label}: serializer", value)
            continue
        if name not in _CALL_OPTIONS:
            raise ConfigurationError(f"{label}: unknown option {name!r}; known are {', '.join(sorted(_CALL_OPTIONS))}")
        using[_CALL_OPTIONS[name]] = _call_value(name, value, conf)
    return using


def rate_limit(label: str, given: Any) -> RateLimit | None:
    """Return a rate such as ``"10/m"`` as a limit; here it counts over all workers."""
    if given is None or given == 0:
        return None
    found = _RATE.fullmatch(str(given).strip())
    if found is None or float(found[1]) == 0:
        raise ConfigurationError(
            f"{label}: rate_limit: expected a rate such as '10/s', '100/m' or '5/h', got {given!r}"
        )
    number, seconds = float(found[1]), _UNITS[found[2] or "s"]
    if number.is_integer():
        return RateLimit(int(number), per=timedelta(seconds=seconds), counts_from="start")
    return RateLimit(1, per=timedelta(seconds=seconds / number), counts_from="start")


def find_route(name: str, routes: Any) -> Route:
    """Return the first route of the setting that fits the name of a task. Raises UnsupportedError for a function."""
    for pattern, target in _pairs(routes):
        fits = pattern.fullmatch(name) if isinstance(pattern, re.Pattern) else fnmatchcase(name, pattern)
        if fits:
            return Route(queue=target) if isinstance(target, str) else _route(name, target)
    return Route()


def first_given(*values: Any) -> Any:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def as_aware(instant: datetime, conf: Conf) -> datetime:
    """Return a naive datetime in the time zone of the settings."""
    return instant.replace(tzinfo=conf.zone) if timezone.is_naive(instant) else instant


def _route(name: str, target: Mapping[str, Any]) -> Route:
    queue = target.get("queue")
    if queue is None and ("routing_key" in target or "exchange" in target):
        raise UnsupportedError(f"task_routes: the route of {name} has no queue: {UNSUPPORTED['routing_key']}")
    return Route(queue=queue, priority=target.get("priority"))


def _pairs(routes: Any) -> Iterator[tuple[Any, Any]]:
    if routes is None:
        return
    if isinstance(routes, Mapping):
        yield from routes.items()
    elif isinstance(routes, Sequence) and not isinstance(routes, str):
        if len(routes) == 2 and isinstance(routes[0], (str, re.Pattern)):
            yield routes[0], routes[1]
            return
        for part in routes:
            yield from _pairs(part)
    else:
        raise UnsupportedError(
            f"task_routes: expected a dict of queues by the names of tasks, got {routes!r}; give a task that is routed"
            " by a function queue=..., or each call apply_async(queue=...)"
        )


def _timeout(label: str, task: Any, get: Any) -> Any:
    soft = first_given(task.soft_time_limit, get("task_soft_time_limit"))
    hard = first_given(task.time_limit, get("task_time_limit"))
    if soft and hard and soft > hard:
        raise ConfigurationError(
            f"{label}: expected a soft_time_limit of at most the time_limit, got {soft} and {hard}"
        )
    return soft or hard or None


def _expires(label: str, given: Any) -> Any:
    if isinstance(given, datetime):
        raise UnsupportedError(f"{label}: expires: expected seconds or a timedelta; an instant goes to apply_async")
    return given


def _call_value(name: str, value: Any, conf: Conf) -> Any:
    if isinstance(value, datetime):
        return as_aware(value, conf)
    if name == "queue":
        return getattr(value, "name", value)  # a kombu.Queue
    return value


def _nothing(name: str) -> None:
    return None


_CALL_OPTIONS = {
    "countdown": "run_after",
    "eta": "run_after",
    "expires": "expires_at",
    "queue": "queue_name",
    "priority": "priority",
    "headers": "metadata",
}
