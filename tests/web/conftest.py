from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from django_jobs.conf import SETTING


@pytest.fixture
def quick(worker_environment: dict[str, str]) -> Iterator[None]:
    """A watcher that looks every 20 ms, and rows that its own connection can see."""
    with override_settings(**{SETTING: {"STATUS": {"POLL_INTERVAL": 0.02, "MAX_WAIT": 30}}}):
        yield
