"""Mask the secrets of stored values and limit keys before anybody sees them (``REDACT``, ``@job(redact=...)``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from . import registry
from .conf import get_settings
from .policy.limits import LimitKind
from .policy.redact import MASK, redact

if TYPE_CHECKING:
    from .models import Job

_NAME_AND_KEY = _('%(name)s, key "%(key)s"')


def redact_job_value(job: Job, value: Any) -> Any:
    """Return ``value``, a job's stored arguments, metadata or result, with its secrets masked."""
    return redact_for_job(job.name, value)


def redact_for_job(job_name: str, value: Any) -> Any:
    """Return ``value``, such as a schedule's arguments for jobs of this name, with its secrets masked."""
    return redact(value, parts=secret_parts(), names=secret_names(job_name))


def secret_parts() -> tuple[str, ...]:
    """Return the parts of a name that make it a secret's name."""
    return get_settings().redact


def secret_names(job_name: str) -> tuple[str, ...]:
    """Return the arguments that ``@job(redact=...)`` names for jobs of this name."""
    definition = registry.find(job_name)
    return tuple(definition.options.redact) if definition is not None else ()


def redact_limit_key(kind: LimitKind, name: str, key: str) -> str:
    """Return a limit's key, or a mask if it is the value of a secret argument of some job."""
    for definition in registry.all_definitions():
        for limit in definition.options.limits:
            is_same = limit.rule().kind is kind and (limit.name or definition.name) == name
            if is_same and isinstance(limit.key, str):
                argument = limit.key
                if redact_for_job(definition.name, {argument: key})[argument] == MASK:
                    return MASK
    return key


def limit_label(kind: LimitKind, name: str, key: str, *, show_keys: bool = True) -> str:
    """Return a limit's name and, if it has one that may be seen, its key."""
    if not key or not show_keys:
        return name
    return str(_NAME_AND_KEY) % {"name": name, "key": redact_limit_key(kind, name, key)}
