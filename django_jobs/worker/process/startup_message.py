"""The message printed when a worker starts."""

from __future__ import annotations

from django.db import connections

from ... import __version__, registry
from ...conf import get_settings
from ...schedules import all_schedules
from ..options import PROCESSES, WorkerOptions


def startup_message(options: WorkerOptions, *, health_url: str | None = None) -> list[str]:
    """Return a few lines: version, database, queues, registered jobs, processes and threads."""
    alias = get_settings().database
    connection = connections[alias]
    name = connection.settings_dict["NAME"]
    host = connection.settings_dict.get("HOST") or ""
    jobs = [definition.name for definition in registry.all_definitions()]
    shown = ", ".join(jobs[:20]) + (f" and {len(jobs) - 20} more" if len(jobs) > 20 else "")
    return [
        f"django_jobs {__version__}",
        f"  database   {alias}: {connection.display_name} {name}{' at ' + host if host else ''}",
        f"  queues     {_queues(options)}",
        f"  jobs       {shown or 'none: no installed app has a jobs.py with @job in it'}",
        f"  schedules  {_schedules(options)}",
        f"  workers    {_workers(options)}",
        f"  mode       {_mode(options)}",
        *([f"  health     {health_url}/live and /ready"] if health_url else []),
    ]


def _pluralize(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"


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


def _schedules(options: WorkerOptions) -> str:
    if not options.schedules:
        return "not fired here"
    return f"{len(all_schedules())} defined in code, besides those of the admin"


def _mode(options: WorkerOptions) -> str:
    if options.burst:
        return "burst: ends when nothing is ready or due"
    return "until Ctrl-C or SIGTERM; a second one stops at once"
