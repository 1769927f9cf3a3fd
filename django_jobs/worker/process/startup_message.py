"""The message printed when a worker starts."""

from __future__ import annotations

from collections.abc import Sequence

from ... import __version__, registry
from ...conf import get_settings
from ...conf.release import current_release
from ...functions.discovery import undiscovered
from ...schedules import all_schedules
from ...store.dialects import open_dialect
from ..options import PROCESSES, WorkerOptions
from .health_pages import HealthPage
from .starting import served_databases

OF_THE_ENGINE = "django_jobs."
"""Begins the names of jobs that every project has."""


def startup_message(options: WorkerOptions) -> list[str]:
    """Return a few lines: version, release, database, queues, registered jobs, processes and threads."""
    aliases = served_databases(options)
    names = [definition.name for definition in registry.all_definitions()]
    jobs = [name for name in names if name not in undiscovered and not name.startswith(OF_THE_ENGINE)]
    shown = ", ".join(jobs[:20]) + (f" and {len(jobs) - 20} more" if len(jobs) > 20 else "")
    return [
        f"django_jobs {__version__}",
        *_release(),
        *(f"  database   {_database(alias)}" for alias in aliases),
        f"  queues     {_queues(options)}",
        f"  jobs       {shown or 'none: no installed app has a jobs.py with @job in it'}",
        f"  schedules  {_schedules(options, aliases)}",
        f"  workers    {_workers(options)}",
        f"  sessions   {_sessions(options, aliases)}",
        f"  mode       {_mode(options)}",
    ]


def health_lines(url: str, pages: Sequence[HealthPage]) -> list[str]:
    """Return the lines that tell where the pages of the health port are."""
    return [f"  health     {url}/live and /ready", *(f"  {page.title:<10} {url}{page.path}" for page in pages)]


def max_connections(options: WorkerOptions) -> int:
    """Return the most connections to the jobs' database that all worker processes hold at once.

    Each has one for the heartbeat, maintenance, finisher, and announcer, and one that claims or listens. The scheduler
    has one, each thread or job process, and all async jobs together.
    """
    return options.processes * sum(_connections(options).values())


def _connections(options: WorkerOptions) -> dict[str, int]:
    """Return the most connections of one worker process, by what they are for."""
    parts = {"of the engine": 5 + int(options.schedules)}
    if options.works:
        parts["of job processes" if options.pool == PROCESSES else "of threads"] = options.concurrency
        if options.pool != PROCESSES:
            parts["of async jobs"] = 1
    return parts


def _sessions(options: WorkerOptions, aliases: Sequence[str]) -> str:
    each = " + ".join(f"{number} {what}" for what, number in _connections(options).items())
    most = _pluralize(max_connections(options), "connection", "connections")
    to = "the database" if len(aliases) == 1 else "each database"
    return f"up to {most} to {to}: {_pluralize(options.processes, 'process', 'processes')} x ({each})"


def _database(alias: str) -> str:
    dialect, connection = open_dialect(alias)
    name = connection.settings_dict["NAME"]
    host = connection.settings_dict.get("HOST") or ""
    return f"{alias}: {dialect.title} {name}{' at ' + host if host else ''}"


def _pluralize(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"


def _release() -> list[str]:
    release = current_release()
    return [f"  release    {release}"] if release else []


def _queues(options: WorkerOptions) -> str:
    if options.queues is None:
        return "all, also ones created later"
    if options.weights is not None:
        return ", ".join(f"{name} (weight {options.weights[name]})" for name in options.queues)
    return ", ".join(options.queues) + (", strictly in this order" if options.strict else "")


def _workers(options: WorkerOptions) -> str:
    workers = _pluralize(options.processes, "process", "processes")
    if not options.works:
        return f"{workers}, firing schedules only"
    if options.pool == PROCESSES:
        return f"{workers} with {_pluralize(options.concurrency, 'job process', 'job processes')} each"
    threads = _pluralize(options.concurrency, "thread", "threads")
    return f"{workers} of {threads}; async jobs: {get_settings().worker.async_concurrency} at once a process"


def _schedules(options: WorkerOptions, aliases: Sequence[str]) -> str:
    if not options.schedules or get_settings().database_of_schedules not in aliases:
        return "not fired here"
    return f"{len(all_schedules())} defined in code, besides those of the admin"


def _mode(options: WorkerOptions) -> str:
    if options.burst:
        return "burst: ends when nothing is ready or due"
    return "until Ctrl-C or SIGTERM; a second one stops at once"
