"""``manage.py runworker``: run jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ...management.worker_options import add_worker_arguments, run_workers


class Command(BaseCommand):
    """Run worker processes until stopped."""

    help = "Runs background jobs. 'manage.py jobs work' is the same command under a name that cannot clash."
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_worker_arguments(parser)

    def handle(self, **options: Any) -> None:
        run_workers(options, self.stdout)
