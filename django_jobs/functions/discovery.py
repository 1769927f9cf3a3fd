"""Jobs that workers do not know: defined by a module that ``django.setup()`` does not import, or by a script.

A worker knows the jobs that are defined when ``django.setup()`` ends: those of the ``jobs.py`` of all installed apps,
and of whatever these, models, ``ready()`` methods and the admin import. So does every process of the same project. A
job that is defined later, by a view's module at the first request or by a module that a function imports, is known to
this process alone: what it enqueues waits until it is a dead letter.

Not counted: a job that is defined again, by a reload; a job of the script that was started if it has a name of its own,
since that script may start the workers, too; and all jobs in tests, which define them where they need them.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress

from django.apps import apps

from ..log_records import record_fields
from .origin import Origin

logger = logging.getLogger("django_jobs.enqueue")

_SCRIPTS = ("__main__", "__mp_main__")
"""The started script, and how a process that multiprocessing has spawned imports it."""

_discovered: set[str] = set()
_warned: set[str] = set()
undiscovered: dict[str, str] = {}
"""The jobs that workers do not know, by name, and where each is defined. Empty in a sound project."""


def record_definition(name: str, origin: Origin) -> None:
    """Record whether ``django.setup()`` has defined this job."""
    is_of_script = _is_of_script(name)
    if not apps.ready and not is_of_script:
        _discovered.add(name)
        undiscovered.pop(name, None)
    elif name not in _discovered and (is_of_script or not _is_of_script(origin.name)):
        undiscovered[name] = origin.place


def _is_of_script(name: str) -> bool:
    return name.partition(".")[0] in _SCRIPTS


def list_undiscovered() -> dict[str, str]:
    """Return the jobs that workers do not know, by name, and where they are defined; views are imported first."""
    if is_testing():
        return {}
    from django.urls import get_resolver

    with suppress(Exception):  # whatever a project's views raise is said by Django's own check
        get_resolver().url_patterns  # noqa: B018 - a property that imports them
    return dict(undiscovered)


def warn_if_undiscovered(name: str) -> None:
    """Log a warning, once per job and process, if workers do not know the job that is being enqueued."""
    if name in undiscovered and name not in _warned and not is_testing():
        _warned.add(name)
        logger.warning(
            "job %s is enqueued, and no worker will know it: %s is not imported by django.setup(); move it to the"
            " jobs.py of an installed app, or import its module there",
            name,
            undiscovered[name],
            extra=record_fields(job_name=name),
        )


def is_testing() -> bool:
    """Tell whether Django's test environment is set up: it gives the mail module an outbox."""
    return hasattr(sys.modules.get("django.core.mail"), "outbox")
