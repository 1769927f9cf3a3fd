"""Configure Django in a worker process as in the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from importlib.util import find_spec
from typing import Any, NoReturn

from .options import WorkerOptions
from .system.console import log_to_terminal
from .system.exit_codes import EXIT_UNGUARDED
from .system.fork_server import is_forked

CONFIGURATIONS_VARIABLE = "DJANGO_CONFIGURATION"


def set_up_process(options: WorkerOptions) -> None:
    """Set Django up if this is a fresh interpreter, and logging; call it before anything that needs settings.

    What ``manage.py`` does beyond naming the settings is done by the function of WORKER["PROCESS_SETUP"], or, with
    django-configurations, by its own.
    """
    from django.apps import apps

    if not is_forked():
        _set_up_django(options)
    app: Any = apps.get_app_config("django_jobs")
    app.enable_loggers()  # the project may have configured logging since
    from .execution.log_capture import capture_logs

    log_to_terminal(options.verbosity)
    capture_logs()


def _set_up_django(options: WorkerOptions) -> None:
    import django
    from django.apps import apps
    from django.utils.module_loading import import_string

    if options.process_setup is not None:
        import_string(options.process_setup)()
    elif os.environ.get(CONFIGURATIONS_VARIABLE) and find_spec("configurations") is not None:
        import_string("configurations.setup")()
    if not apps.ready:
        django.setup()


def refuse_import_of_main() -> None:
    """End this process if it starts workers while it is one: it only imports the script that was started."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        _end_unguarded()


def unguarded_message() -> str:
    """Say what a script lacks whose import starts workers."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0]
    return (
        f"{script} starts workers when it is imported, and each worker process imports it: put the call under"
        ' if __name__ == "__main__":'
    )


def _end_unguarded() -> NoReturn:
    # Not an exception, which would be printed with the whole stack of imports, once for each attempt.
    os._exit(EXIT_UNGUARDED)
