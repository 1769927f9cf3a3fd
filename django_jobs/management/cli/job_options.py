"""Options that select jobs: ids, ``--state``, ``--queue``, ``--name`` and ``--all``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ...policy.states import State


def add_filter(parser: ArgumentParser) -> None:
    """Add the options that filter jobs."""
    parser.add_argument("--state", choices=[state.value for state in State])
    parser.add_argument("--queue", metavar="NAME")
    parser.add_argument("--name", metavar="JOB", help="Name of the job.")


def job_filter(options: dict[str, Any]) -> dict[str, Any]:
    """Return the filter of the options."""
    return {"state": options["state"], "queue_name": options["queue"], "name": options["name"]}


def selected_jobs(options: dict[str, Any]) -> dict[str, Any]:
    """Return the jobs that the options select. Raises CommandError if they select none."""
    selected = {"ids": options["ids"], **job_filter(options)}
    if not any(selected.values()) and not options["all"]:
        raise CommandError("expected ids, --state, --queue, --name or --all")
    return selected
