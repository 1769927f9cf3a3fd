"""Start a worker process for the databases that it is to serve."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence

from ...conf import get_settings
from ..options import WorkerOptions
from ..system.child_process import start_process
from .channel import Channel
from .process_main import run_worker_process
from .worker_child import ServedDatabase, WorkerChild


def served_databases(options: WorkerOptions) -> tuple[str, ...]:
    """Return the aliases of the databases that the workers serve: for schedules alone the one in which they are."""
    settings = get_settings()
    aliases = options.databases or settings.aliases
    return aliases if options.works else tuple(alias for alias in aliases if alias == settings.database_of_schedules)


def start_worker_process(options: WorkerOptions, aliases: Sequence[str]) -> WorkerChild:
    """Start a worker process. Raises OSError or MemoryError if there is no descriptor, process or memory for it."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    try:
        databases = [ServedDatabase(alias) for alias in aliases]
        channels = {served.alias: Channel(served.started_jobs, served.liveness) for served in databases}
        arguments = (options, writer, channels)
        process = start_process(run_worker_process, arguments, name="django_jobs worker")
    except BaseException:
        reader.close()
        raise
    finally:
        writer.close()
    return WorkerChild(process, reader, databases)
