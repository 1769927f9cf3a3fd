"""Run the supervisor, with the start-up message, the health port and the service manager around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from django.core.management.base import CommandError

from ... import registry
from ...conf import get_settings
from ..options import WorkerOptions
from ..process_setup import refuse_import_of_main
from ..system.fork_server import stop_fork_server
from .health_pages import HealthPage, open_health_pages
from .health_server import HealthServer
from .service_manager import ServiceManager
from .start_method import choose_start_method
from .startup_message import health_lines, startup_message
from .supervisor import Supervisor


def supervise(
    options: WorkerOptions, *, say: Callable[[str], None], on_ready: Callable[[], None] = lambda: None
) -> int:
    """Print the startup message, then run the supervisor and return its exit code.

    ``on_ready`` is called once the database can be used, from another thread. Raises ConfigurationError if
    ``--health-port`` is taken, CommandError if no worker process can work.
    """
    refuse_import_of_main()
    _refuse_jobs_of_main()
    options_of_processes = replace(options, process_setup=get_settings().worker.process_setup)
    # Before the fork: its modules, the dialect among them, are loaded once for all.
    message = startup_message(options)
    with ExitStack() as closing:
        pages = open_health_pages(closing) if options.health_port is not None else []
        closing.callback(stop_fork_server)
        choose_start_method(options)  # before the first thread
        return _supervise(options, Supervisor(options_of_processes, on_ready=on_ready), pages, message, say)


def _supervise(
    options: WorkerOptions,
    supervisor: Supervisor,
    pages: Sequence[HealthPage],
    message: list[str],
    say: Callable[[str], None],
) -> int:
    server = None
    if options.health_port is not None:
        server = HealthServer(options.health_address, options.health_port, supervisor.health, pages)
        for page in pages:
            page.start()
        server.start()
    service_manager = ServiceManager(supervisor.health)
    supervisor.on_stop = service_manager.stopping
    service_manager.start()
    for line in [*message, *(health_lines(server.url, pages) if server else [])]:
        say(line)
    try:
        code = supervisor.run()
    finally:
        service_manager.close()
        if server is not None:
            server.close()
    if supervisor.failure is not None:
        raise CommandError(supervisor.failure)
    return code


def _refuse_jobs_of_main() -> None:
    """Refuse jobs of the script that was started: worker processes import it as ``__mp_main__``."""
    names = [definition.name for definition in registry.all_definitions() if definition.name.startswith("__main__.")]
    if names:
        raise CommandError(
            f"job {names[0]}: worker processes import the script that was started under another name and would not find"
            ' it; move it to a module, such as the jobs.py of an app, or name it: @job(name="...")'
        )
