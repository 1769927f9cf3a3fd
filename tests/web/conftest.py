from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from django_jobs.conf import SETTING


@pytest.fixture
def quick(worker_environment: dict[str, str]) -> Iterator[None]:
    """Poll every 20 ms, and commit rows so that the poller's own connection can see them."""
    with override_settings(**{SETTING: {"STATUS": {"POLL_INTERVAL": 0.02, "MAX_WAIT": 30}}}):
        yield
