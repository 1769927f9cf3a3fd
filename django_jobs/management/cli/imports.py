"""Jobs and schedules of other packages: the verbs ``import-...`` of ``manage.py jobs``."""

from __future__ import annotations

import sys
from typing import Any

from ...policy.plurals import counted
from .. import verbs
from ..rows import as_json
from ..verb_command import AddVerb, VerbCommand


def add_import_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    importing = add(
        "import-django-tasks-db",
        import_django_tasks_db,
        "Move the tasks that wait in the table of django-tasks-db into jobs.",
    )
    importing.add_argument("--dry-run", action="store_true", help="Count the tasks and change nothing.")
    importing = add(
        "import-celery-beat", import_celery_beat, "Make schedules and jobs of the entries of django-celery-beat."
    )
    importing.add_argument("--dry-run", action="store_true", help="Say what would be made and change nothing.")
    importing.add_argument(
        "--database", default="default", metavar="ALIAS", help="Where its tables are (default: default)."
    )


def import_django_tasks_db(command: VerbCommand, options: dict[str, Any]) -> None:
    """Move the waiting tasks of django-tasks-db into jobs."""
    imported, dry_run = verbs.import_django_tasks_db(dry_run=options["dry_run"]), options["dry_run"]
    if options["json"]:
        command.stdout.write(as_json({**imported, "dry_run": dry_run}))
        return
    command.print_lines(f"{counted(imported['moved'], 'task')} {'would be ' if dry_run else ''}moved")
    for path, number in imported["left"].items():
        command.print_lines(f"{number} left: {path} is no Task of a backend of django_jobs")


def import_celery_beat(command: VerbCommand, options: dict[str, Any]) -> None:
    """Make schedules and jobs of the entries of django-celery-beat; exit with 1 if some are left."""
    dry_run = options["dry_run"]
    imported = verbs.import_celery_beat(database=options["database"], dry_run=dry_run)
    if options["json"]:
        command.stdout.write(as_json({**imported, "dry_run": dry_run}))
    else:
        made = f"{counted(len(imported['schedules']), 'schedule')} and {counted(len(imported['jobs']), 'job')}"
        command.print_lines(f"{made} {'would be ' if dry_run else ''}made; {len(imported['present'])} here already")
        for name, reason in imported["not_needed"].items():
            command.print_lines(f"not needed: {name}: {reason}")
        for name, reason in imported["left"].items():
            command.print_lines(f"left: {name}: {reason}")
    if imported["left"]:
        sys.exit(1)
