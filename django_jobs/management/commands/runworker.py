"""``manage.py runworker``: run jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from ...management.verb_command import HintingCommand
from ...management.worker_options import add_worker_arguments, run_workers


class Command(HintingCommand):
    """Run worker processes until stopped."""

    help = "Runs background jobs. 'manage.py jobs work' is the same command under a name that cannot clash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_worker_arguments(parser)

    def handle(self, **options: Any) -> None:
        run_workers(self, options)
