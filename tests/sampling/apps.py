from __future__ import annotations

from datetime import timedelta

from django.apps import AppConfig


class SamplingConfig(AppConfig):
    """Takes the whole minute for its start."""

    name = "tests.sampling"

    def ready(self) -> None:
        from django_jobs.policy import backlog

        backlog.MAX_DELAY = timedelta(minutes=1)
