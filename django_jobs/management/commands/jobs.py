"""``manage.py jobs VERB``: the operations of the admin in a shell."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import nullcontext
from typing import Any

from django.core.management.base import CommandError

from ...conf import get_settings
from ...conf.database import use_database
from ...management.brokers import add_broker_arguments, print_brokers
from ...management.cli.enqueue import add_enqueue_verb
from ...management.cli.imports import add_import_verbs
from ...management.cli.job_changes import add_change_verbs
from ...management.cli.jobs import add_job_verbs
from ...management.cli.queues import add_queue_verbs
from ...management.cli.schedules import add_schedule_verbs
from ...management.cli.service import add_service_verbs
from ...management.cli.tables import add_table_verbs
from ...management.cli.workers import add_worker_verbs
from ...management.consume import add_consume_arguments, run_consume
from ...management.verb_command import Act, VerbCommand
from ...management.worker_options import NumberInDatabase, add_worker_arguments, as_alias, run_workers

OF_ONE_DATABASE = (
    "status", "health", "top", "doctor", "list", "show", "stop-worker", "kill-worker", "prune", "index", "brokers",
    "retry", "cancel", "purge", "move", "set-priority", "enqueue", "pause", "resume", "max-running",
)  # fmt: skip
"""Verbs that act on one database; schedules are in one of their own."""

OF_ALL_DATABASES = ("status", "health", "top", "doctor", "list")
"""Those of them that without ``--database`` are about all."""


class Command(VerbCommand):
    """Dispatches to one function per verb; each prints text, or JSON with ``--json``."""

    help = "Shows and manages background jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self._acts: dict[str, Act] = {}
        add = self._add
        add_service_verbs(add)
        add_job_verbs(add)
        add_change_verbs(add)
        add_enqueue_verb(add)
        add_queue_verbs(add)
        add_worker_verbs(add)
        add_schedule_verbs(add)
        add_table_verbs(add)
        add_import_verbs(add)
        add_broker_arguments(
            add("brokers", print_brokers, "Show what waits to be sent to brokers, and how far sources are read.")
        )
        add_consume_arguments(
            add("consume", run_consume, "Read messages of brokers and make them jobs, until it is stopped.")
        )
        add_worker_arguments(add("work", run_workers, "Run workers, as 'manage.py runworker' does."))
        for verb in OF_ONE_DATABASE:
            default = "all" if verb in OF_ALL_DATABASES else "the first"
            self.verb_parsers()[verb].add_argument(
                "--database",
                type=as_alias,
                metavar="ALIAS",
                help=f"Of several databases of jobs, the one to act on (default: {default}).",
            )

    def _add(self, verb: str, act: Act, text: str) -> ArgumentParser:
        self._acts[verb] = act
        return self.add_verb(verb, text)

    def handle(self, *, verb: str, **options: Any) -> None:
        self.database = database = _named_database(options) if verb != "import-celery-beat" else None
        with nullcontext() if database is None else use_database(database):
            self._acts[verb](self, options)


def _named_database(options: dict[str, Any]) -> str | None:
    """Return the database of ``--database``, or of ids such as ``eu:4711``.

    Raises CommandError for two, and for a number alone: another database may have another job of it.
    """
    ids = [given for given in (options.get("id"), options.get("job"), *(options.get("ids") or ())) if given is not None]
    named = [given.database for given in ids if isinstance(given, NumberInDatabase)]
    if options.get("database") is not None:
        named.append(options["database"])
    if other := next((alias for alias in named if alias != named[0]), None):
        raise CommandError(f"expected jobs of one database, got {named[0]!r} and {other!r}")
    if ids and not named and (settings := get_settings()).has_many_databases:
        raise CommandError(
            f"expected the database of {ids[0]} too, because there are several: --database, or one of"
            f" {', '.join(f'{alias}:{ids[0]}' for alias in settings.aliases)}"
        )
    return named[0] if named else None
