"""The system check of this package: E008."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from ...conf import get_settings
from ...exceptions import ConfigurationError
from .client import import_client


@register(Tags.compatibility)
def check_metrics(**_: Any) -> list[CheckMessage]:
    """Check that the client that METRICS needs is installed: E008."""
    try:
        is_enabled = get_settings().metrics.prometheus
    except ConfigurationError:  # E001 says why
        return []
    try:
        if is_enabled:
            import_client()
    except ConfigurationError as error:
        return [Error(str(error), hint="See docs/how-to/monitoring.md.", id="django_jobs.E008")]
    return []
