"""Import prometheus-client when it is used, with an error that names the extra."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ...exceptions import ConfigurationError

DIRECTORY_VARIABLE = "DJANGO_JOBS_METRICS_DIR"
"""Environment variable: the directory in which the processes of this ``runworker`` count."""


def import_client(name: str = "prometheus_client") -> ModuleType:
    """Return a module of prometheus-client. Raises ConfigurationError if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            "metrics for Prometheus need the package prometheus-client; run"
            " pip install 'django-jobs-engine[prometheus]'"
        ) from error
