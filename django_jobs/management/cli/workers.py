"""Workers that staff end: ``stop-worker`` and ``kill-worker`` of ``manage.py jobs``."""

from __future__ import annotations

from typing import Any

from .. import verbs
from ..rows import as_json
from ..verb_command import AddVerb, VerbCommand
from ..worker_options import job_id, worker_id


def add_worker_verbs(add: AddVerb) -> None:
    """Add the verbs."""
    stop = add(
        "stop-worker", stop_worker, "Have a worker end once its running jobs have ended; no other takes its place."
    )
    kill = add(
        "kill-worker", kill_worker, "End a worker at once: its running jobs are released, and another takes its place."
    )
    for with_worker in (stop, kill):
        with_worker.add_argument("id", type=worker_id, metavar="ID")
    kill.add_argument("--job", type=job_id, metavar="ID", help="Cancel this running job of the worker instead.")


def stop_worker(command: VerbCommand, options: dict[str, Any]) -> None:
    """Have a worker end once its running jobs have ended."""
    verbs.stop_worker(options["id"])
    _print_worker(command, options, "stop_requested", "ends once its running jobs have ended")


def kill_worker(command: VerbCommand, options: dict[str, Any]) -> None:
    """Have a worker end at once."""
    verbs.kill_worker(options["id"], blamed=options["job"])
    _print_worker(command, options, "kill_requested", "ends at its next heartbeat, and its running jobs are released")


def _print_worker(command: VerbCommand, options: dict[str, Any], past: str, text: str) -> None:
    command.stdout.write(as_json({past: options["id"]}) if options["json"] else f"worker {options['id']} {text}")
