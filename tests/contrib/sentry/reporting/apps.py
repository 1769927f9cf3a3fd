from __future__ import annotations

import json
import os

import sentry_sdk
from django.apps import AppConfig

from django_jobs.contrib.sentry import DjangoJobsIntegration

from . import DSN, OPTIONS


class ReportingConfig(AppConfig):
    name = "tests.contrib.sentry.reporting"
    label = "reporting"

    def ready(self) -> None:
        options = json.loads(os.environ.get(OPTIONS, "{}"))
        sentry_sdk.init(
            os.environ[DSN],
            traces_sample_rate=1.0,
            auto_enabling_integrations=False,
            integrations=[DjangoJobsIntegration(**options)],
        )
