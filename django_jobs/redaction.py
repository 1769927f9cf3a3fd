"""Mask the secrets of stored values and limit keys before anybody sees them (``REDACT``, ``@job(redact=...)``).

Names that no code here knows are closed: nobody can tell which of their values are secret. That holds for the values of
a job whose code is gone, for arguments that a job no longer has, and for keys of limits that no job has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from . import registry
from .conf import get_settings
from .policy.limits import KeyOption, LimitKind
from .policy.poison import READ_MESSAGE, meant_for
from .policy.redact import MASK, mask_all, mask_all_of, redact

if TYPE_CHECKING:
    from .models import Job

_NAME_AND_KEY = _('%(name)s, key "%(key)s"')


def redact_job_value(job: Job, value: Any) -> Any:
    """Return ``value``, a job's stored metadata or result, with its secrets masked."""
    return redact_for_job(job.name, value)


def redact_for_job(job_name: str, value: Any) -> Any:
    """Return ``value`` of jobs of this name with its secrets masked; all of it if the job is not registered."""
    definition = registry.find(job_name)
    if definition is None:
        return mask_all(value)
    return redact(value, parts=secret_parts(), names=definition.options.redact)


def redact_arguments(job_name: str, arguments: Any) -> Any:
    """Return a job's or schedule's stored arguments, masking secrets, and arguments that the job no longer has."""
    definition = registry.find(job_name)
    if definition is not None and isinstance(arguments, dict):
        known = definition.signature
        arguments = {name: item if known.has(name) else mask_all_of(item) for name, item in arguments.items()}
    redacted = redact_for_job(job_name, arguments)
    if job_name == READ_MESSAGE and isinstance(redacted, dict) and "body" in redacted:
        redacted["body"] = _redact_body(meant_for(arguments), redacted["body"])
    return redacted


def _redact_body(job_name: str, body: Any) -> Any:
    """Mask what would be secret in the job that a message was meant for; all of a text in which no name is known."""
    is_text = not isinstance(body, (dict, list))
    return mask_all_of(body) if is_text and is_secret_job(job_name) else redact_for_job(job_name, body)


def secret_parts() -> tuple[str, ...]:
    """Return the parts of a name that make it a secret's name."""
    return get_settings().redact


def is_secret_job(job_name: str) -> bool:
    """Tell whether jobs of this name work with secrets (``redact``), or nobody here knows whether they do."""
    definition = registry.find(job_name)
    return definition is None or bool(definition.options.redact)


def redact_limit_key(kind: LimitKind, name: str, key: str) -> str:
    """Return a limit's key, or a mask if it is made of a secret argument of some job, or no job has this limit."""
    limits = [
        (definition, limit)
        for definition in registry.all_definitions()
        for limit in definition.options.limits
        if limit.rule().kind is kind and (limit.name or definition.name) == name
    ]
    if key and (not limits or any(_is_secret_key(definition, limit.key, key) for definition, limit in limits)):
        return MASK
    return key


def _is_secret_key(definition: registry.DefinedJob, option: KeyOption, key: str) -> bool:
    """Tell whether the key is a secret argument's value, or a function's that had secrets among its arguments."""
    if isinstance(option, str):
        return bool(redact_for_job(definition.name, {option: key})[option] == MASK)
    names = dict.fromkeys(definition.signature.parameters, "")
    return option is not None and MASK in redact_for_job(definition.name, names).values()


def limit_label(kind: LimitKind, name: str, key: str, *, show_keys: bool = True) -> str:
    """Return a limit's name and, if it has one that may be seen, its key."""
    if not key or not show_keys:
        return name
    return str(_NAME_AND_KEY) % {"name": name, "key": redact_limit_key(kind, name, key)}
