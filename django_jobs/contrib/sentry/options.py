"""The options of the integration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """See ``DjangoJobsIntegration``."""

    report_all_attempts: bool
    monitor_schedules: bool
    exclude_schedules: frozenset[str]
