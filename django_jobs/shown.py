"""What may be shown of a job's values: secrets masked, by the setting REDACT and by ``@job(redact=...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import registry
from .conf import get_settings
from .policy.redact import redact

if TYPE_CHECKING:
    from .models import Job


def shown(job: Job, value: Any) -> Any:
    """Return ``value``, the job's stored arguments, metadata or result, as people may see it."""
    return shown_of(job.name, value)


def shown_of(job_name: str, value: Any) -> Any:
    """Do the same for values that a schedule has for jobs of this name."""
    definition = registry.find(job_name)
    names = definition.options.redact if definition is not None else ()
    return redact(value, parts=get_settings().redact, names=names)
