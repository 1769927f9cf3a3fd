"""``JobsPanel``: the jobs that a request enqueued, with their arguments, where it did so and how long it took."""

from __future__ import annotations

from typing import Any

from debug_toolbar.panels import Panel
from debug_toolbar.utils import render_stacktrace
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...policy.plurals import counted
from ...policy.short_arguments import short_arguments
from ...redaction import redact_arguments
from ...worker.execution.errors import is_project_file
from .recording import Frames, Recorded, Recording, install, start_recording, stop_recording

MAX_JOBS = 50
"""Of one enqueue so many jobs are shown; of the others the number."""
MAX_ARGUMENT_CHARS = 300


class JobsPanel(Panel):
    """The panel; for synchronous and asynchronous requests."""

    is_async = True
    title = _("Jobs")
    template = "django_jobs/debug_toolbar_panel.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recording: Recording | None = None

    @property
    def nav_subtitle(self) -> str:
        """Return the number of jobs."""
        return counted(self.get_stats().get("number", 0), "job")  # type: ignore[no-untyped-call]

    @classmethod
    def ready(cls) -> None:
        """Install the hook, when the toolbar starts."""
        install()

    def enable_instrumentation(self) -> None:
        """Record the enqueues of this request."""
        install()
        self._recording = start_recording()

    def disable_instrumentation(self) -> None:
        """End that."""
        stop_recording()

    def generate_stats(self, request: Any, response: Any) -> None:
        """Keep what was recorded as plain values, which the toolbar stores."""
        enqueues = [] if self._recording is None else self._recording.enqueues
        self.record_stats(  # type: ignore[no-untyped-call]
            {
                "number": sum(_count(recorded) for recorded in enqueues),
                "milliseconds": sum(recorded.seconds for recorded in enqueues) * 1000,
                "enqueues": [_as_plain(recorded) for recorded in enqueues],
            }
        )

    def generate_server_timing(self, request: Any, response: Any) -> None:
        """Tell the time of all enqueues."""
        stats = self.get_stats()  # type: ignore[no-untyped-call]
        title, milliseconds = counted(stats["number"], "job"), stats["milliseconds"]
        self.record_server_timing("enqueue", title, milliseconds)  # type: ignore[no-untyped-call]


def _count(recorded: Recorded) -> int:
    if recorded.error:
        return 0
    return recorded.insertion.count or 0


def _as_plain(recorded: Recorded) -> dict[str, Any]:
    insertion = recorded.insertion
    jobs = [_job_as_plain(job) for job in insertion.jobs[:MAX_JOBS]]
    if not jobs:
        jobs = [{"id": str(job_id), "url": _admin_url(job_id)} for job_id in insertion.ids[:MAX_JOBS]]
    return {
        "names": [definition.name for definition in insertion.definitions],
        "queue_names": insertion.queue_names,
        "count": _count(recorded),
        "jobs": jobs,
        "left_out": max(_count(recorded) - len(jobs), 0) if jobs else 0,
        "milliseconds": recorded.seconds * 1000,
        "error": recorded.error,
        "where": _where(recorded.frames),
        "stacktrace": render_stacktrace(recorded.frames),
    }


def _where(frames: Frames) -> str:
    """Return the innermost line of the project's own code; of any code if that has none."""
    own = [frame for frame in frames if is_project_file(frame[0])] or frames
    return f"{own[-1][0]}:{own[-1][1]} {own[-1][2]}" if own else ""


def _job_as_plain(job: Job) -> dict[str, Any]:
    arguments = redact_arguments(job.name, job.arguments)
    return {
        "id": str(job.pk),
        "url": _admin_url(job.pk),
        "name": job.name,
        "queue_name": job.queue_name,
        "arguments": short_arguments(arguments, max_chars=MAX_ARGUMENT_CHARS),
        "is_duplicate": job.is_duplicate,
    }


def _admin_url(job_id: int) -> str:
    """Return the address of the job's page; an empty text without the admin."""
    try:
        return reverse("admin:django_jobs_job_change", args=[job_id])
    except NoReverseMatch:
        return ""
