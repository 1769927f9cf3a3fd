"""``DjangoJobsIntegration``: what Sentry's ``init`` is given. It is imported before Django is set up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sentry_sdk
from sentry_sdk.integrations import Integration
from sentry_sdk.scope import add_global_event_processor

from ...hooks import add_hook
from ...signals import worker_stopping
from . import events
from .hook import SentryHook
from .options import ReportOptions

FLUSH_SECONDS = 1.5
"""Below the two seconds that a process waits for all receivers of ``worker_stopping``."""


class DjangoJobsIntegration(Integration):
    """Reports jobs to Sentry.

    report_all_attempts: report the exception of each failed attempt, not only the one that makes the job dead.
    monitor_schedules: send check-ins of the jobs of schedules. exclude_schedules: not for these names.
    """

    identifier = "django_jobs"

    def __init__(
        self,
        *,
        report_all_attempts: bool = False,
        monitor_schedules: bool = True,
        exclude_schedules: Collection[str] = (),
    ) -> None:
        self.options = ReportOptions(
            report_all_attempts=report_all_attempts,
            monitor_schedules=monitor_schedules,
            exclude_schedules=frozenset(exclude_schedules),
        )

    @staticmethod
    def setup_once() -> None:
        """Add what surrounds jobs; called once in a process, also if Sentry is initialized again."""
        add_hook(SentryHook(active_options))
        add_global_event_processor(_process_log_event)
        worker_stopping.connect(_flush, dispatch_uid="django_jobs.contrib.sentry")


def active_options() -> ReportOptions | None:
    """Return the options of the client that is in use here; None if that has not this integration."""
    integration = sentry_sdk.get_client().get_integration(DjangoJobsIntegration)
    return None if integration is None else integration.options


def _process_log_event(event: Any, hint: Any) -> Any:
    return event if active_options() is None else events.process_log_event(event, hint)


def _flush(**_: Any) -> None:
    """Send what is held back: job processes end without exit handlers."""
    if active_options() is not None:
        sentry_sdk.flush(timeout=FLUSH_SECONDS)
