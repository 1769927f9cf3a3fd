"""Sentry, initialized for a test with the integration; what it sends is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk import integrations
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
from sentry_sdk.transport import Transport

from django_jobs import hooks
from django_jobs.contrib.sentry import DjangoJobsIntegration
from django_jobs.signals import worker_stopping

from .endpoint import Received


class Sentry(Received):
    """What was sent. ``init`` initializes the SDK."""

    def init(
        self, *, traces_sample_rate: float = 1.0, options: dict[str, Any] | None = None, **integration: Any
    ) -> None:
        received = self
        ignore_logger(
            "asyncio"
        )  # it reports tasks of event loops that earlier tests have left, when they are collected

        class Kept(Transport):
            def capture_envelope(self, envelope: Envelope) -> None:
                received.take(envelope.serialize())

        sentry_sdk.init(
            "http://key@localhost/1",
            transport=Kept,
            traces_sample_rate=traces_sample_rate,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[LoggingIntegration(), DedupeIntegration(), DjangoJobsIntegration(**integration)],
            **(options or {}),
        )


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sentry]:
    """An SDK that is not initialized yet. At the end nothing of it is left in this process."""
    monkeypatch.setattr(hooks, "_added", hooks._added)
    for known in (integrations._processed_integrations, integrations._installed_integrations):
        known.discard(DjangoJobsIntegration.identifier)
    yield Sentry()
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    worker_stopping.disconnect(dispatch_uid="django_jobs.contrib.sentry")


@pytest.fixture
def reported(sentry: Sentry) -> Sentry:
    """The same, initialized."""
    sentry.init()
    return sentry
