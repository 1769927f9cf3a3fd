"""The keys of an enqueue, of ``Unique`` and ``idempotency_key``: checked, and computed from a job's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from .arguments.serialization import encode
from .conf import get_settings
from .exceptions import ArgumentsError, ConfigurationError, JobsError
from .policy.durations import Duration, as_timedelta, keep_durations
from .policy.hints import explains_options
from .policy.plurals import counted
from .policy.redact import MASK, redact
from .policy.states import WAITING_STATES, State
from .policy.uniqueness import (
    MAX_KEY_LENGTH,
    UNIQUE_KEY_TTL,
    UNIQUE_STATES,
    ConflictRule,
    KeyKind,
    NewKey,
    OnConflict,
    canonical_json,
    key_digest,
)

__all__ = ["Unique"]

KeyFunction = Callable[..., Any]
"""Called with the job's arguments by name, defaults filled in; returns the key, any value that an argument may be."""


@explains_options
@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """At most one waiting job for each value of chosen arguments: ``@job(unique=Unique(by=("user_id",)))``.

    by: names of arguments, or a function of them that returns the key. None: all arguments; an empty tuple: the
    job as a whole.
    states: in which a job conflicts with a new one: ``blocked``, ``scheduled``, ``ready`` (the default) and
    ``running``.
    on_conflict: ``skip`` leaves the waiting job as it is, ``replace`` gives it the new arguments and time,
    ``reschedule`` the new time only. Default ``skip``, with ``debounce`` ``replace``.
    debounce: the job waits so long, and again so long from each further enqueue: it runs once after the last.
    max_wait: the longest wait after the first enqueue, no less than ``debounce``. Both are timedeltas or seconds.
    """

    by: Collection[str] | KeyFunction | None = None
    states: Collection[str] = tuple(sorted(WAITING_STATES))
    on_conflict: Literal["skip", "replace", "reschedule"] | None = None
    debounce: Duration | None = None
    max_wait: Duration | None = None

    def __post_init__(self) -> None:
        try:
            keep_durations(self, *(name for name in ("debounce", "max_wait") if getattr(self, name) is not None))
        except ValueError as error:
            raise ConfigurationError(f"Unique: {error}") from None

    @property
    def rule(self) -> ConflictRule:
        """The rule for an enqueue whose key another job has."""
        chosen = self.on_conflict or ("skip" if self.debounce is None else "replace")
        max_wait = None if self.max_wait is None else as_timedelta(self.max_wait)
        return ConflictRule(on_conflict=OnConflict(chosen), max_wait=max_wait)


def check_unique(label: str, unique: object, signature: inspect.Signature) -> None:
    """Raise ConfigurationError unless ``unique`` fits a job of this signature; ``label`` names job and option."""
    if unique is None:
        return
    if not isinstance(unique, Unique):
        raise ConfigurationError(f"{label}: expected Unique(...), got {unique!r}")
    _check_by(label, unique.by, signature)
    _check_states(label, unique.states)
    if unique.on_conflict is not None and unique.on_conflict not in tuple(OnConflict):
        raise ConfigurationError(
            f"{label}: on_conflict: expected one of {', '.join(OnConflict)}, got {unique.on_conflict!r}"
        )
    _check_debounce(label, unique)


def _check_by(label: str, by: object, signature: inspect.Signature) -> None:
    if by is None or callable(by):
        return
    if not (isinstance(by, (tuple, list, set, frozenset)) and all(isinstance(name, str) and name for name in by)):
        raise ConfigurationError(
            f"{label}: by: expected a tuple of names of arguments, a function of them or None, got {by!r}"
        )
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    unknown = sorted(set(by) - set(signature.parameters))
    if unknown and not takes_any:
        raise ConfigurationError(f"{label}: by: expected arguments of {signature}, got {', '.join(map(repr, unknown))}")


def _check_states(label: str, states: object) -> None:
    known = sorted(UNIQUE_STATES)
    if (
        not isinstance(states, (tuple, list, set, frozenset))
        or not states
        or not all(isinstance(state, str) and state in UNIQUE_STATES for state in states)
    ):
        raise ConfigurationError(f"{label}: states: expected a tuple of {', '.join(known)}, got {states!r}")


def _check_debounce(label: str, unique: Unique) -> None:
    if unique.max_wait is not None and (
        unique.debounce is None or as_timedelta(unique.max_wait) < as_timedelta(unique.debounce)
    ):
        raise ConfigurationError(
            f"{label}: max_wait: expected no less than debounce, got {unique.max_wait!r} with"
            f" debounce={unique.debounce!r}"
        )
    if unique.debounce is None:
        return
    if unique.rule.on_conflict is OnConflict.SKIP:
        raise ConfigurationError(
            f"{label}: on_conflict: expected replace or reschedule with debounce, got 'skip', which postpones nothing"
        )
    if State.RUNNING in unique.states:
        raise ConfigurationError(
            f"{label}: states: expected no running with debounce: what is enqueued while the job runs would be lost"
        )


def as_idempotency_key(option: str, key: object) -> str | KeyFunction:
    """Return the key, or the function that returns it, or raise ConfigurationError."""
    if isinstance(key, str) and _is_key(key):
        return key
    if callable(key):
        return key
    raise ConfigurationError(
        f"{option}: expected 1 to {MAX_KEY_LENGTH} printable characters, or a function of the arguments that returns"
        f" them, got {_cut(key)}"
    )


def keys_for(
    name: str,
    arguments: Sequence[Mapping[str, Any]],
    *,
    unique: Unique | None,
    secret: Collection[str],
    idempotency_key: str | KeyFunction | None,
    idempotency_window: timedelta | None,
) -> tuple[list[NewKey], ConflictRule]:
    """Return a key for each of the arguments (by name, defaults filled in), and the rule for a conflict.

    Raises ConfigurationError if the options exclude each other, ArgumentsError if a function fails.
    """
    if unique is not None and (idempotency_key is not None or idempotency_window is not None):
        raise ConfigurationError(
            f"{name}.using(idempotency_key): expected a job without unique=..., which is a key already; got one with"
            " both"
        )
    if unique is not None:
        return [unique_key_of(name, unique, item, secret=secret) for item in arguments], unique.rule
    if idempotency_key is None:
        raise ConfigurationError(f"{name}.using(idempotency_window): expected an idempotency_key with it")
    if len(arguments) > 1 and not callable(idempotency_key):
        raise ConfigurationError(
            f"{name}.using(idempotency_key): expected a function of the arguments for enqueue_many, got one key"
            f" for {counted(len(arguments), 'job')}: {_cut(idempotency_key)}"
        )
    keys = [idempotency_key_of(name, idempotency_key, idempotency_window, item, secret=secret) for item in arguments]
    return keys, ConflictRule()


def idempotency_key_of(
    name: str,
    given: str | KeyFunction,
    window: timedelta | None,
    arguments: Mapping[str, Any],
    *,
    secret: Collection[str] = (),
) -> NewKey:
    """Return the key of one enqueue; the text of a function's is masked if it had secrets among its arguments.

    Raises ArgumentsError if a function does not return a key.
    """
    key = given
    if callable(given):
        key = _call(f"{name}.using(idempotency_key)", given, arguments)
        if not _is_key(key):
            raise ArgumentsError(
                f"{name}.using(idempotency_key): expected 1 to {MAX_KEY_LENGTH} printable characters of the"
                f" function, got {_cut(key)}"
            )
    text = str(key)
    return NewKey(
        digest=key_digest(KeyKind.IDEMPOTENCY, name, text),
        kind=KeyKind.IDEMPOTENCY.value,
        job_name=name,
        text=MASK if callable(given) and _has_secrets(arguments, secret) else text,
        states=tuple(State),
        seconds=(window or get_settings().enqueue.idempotency_window).total_seconds(),
        expires=True,
    )


def unique_key_of(name: str, unique: Unique, arguments: Mapping[str, Any], *, secret: Collection[str]) -> NewKey:
    """Return the key of one enqueue of a unique job; its text masks the arguments that ``secret`` names.

    That of a function is masked as a whole if it had secrets among its arguments: nobody can tell what it made of them.
    Raises ArgumentsError if a function does not return a key.
    """
    label = f"@job {name}: unique: by"
    if unique.by is None:
        chosen: Any = dict(arguments)
    elif callable(unique.by):
        chosen = _call(label, unique.by, arguments)
    else:
        chosen = {argument: arguments[argument] for argument in sorted(unique.by) if argument in arguments}
    value = encode(chosen, what=label)
    shown = canonical_json(redact(value, parts=get_settings().redact, names=secret))
    if callable(unique.by) and _has_secrets(arguments, secret):
        shown = MASK
    return NewKey(
        digest=key_digest(KeyKind.UNIQUE, name, canonical_json(value)),
        kind=KeyKind.UNIQUE.value,
        job_name=name,
        text=shown if len(shown) <= MAX_KEY_LENGTH else shown[: MAX_KEY_LENGTH - 3] + "...",
        states=tuple(State(state).value for state in unique.states),
        seconds=UNIQUE_KEY_TTL.total_seconds(),
        expires=False,
    )


def _has_secrets(arguments: Mapping[str, Any], secret: Collection[str]) -> bool:
    """Tell whether any of the arguments is masked, at any depth."""
    value = encode(dict(arguments), what="arguments")
    return bool(redact(value, parts=get_settings().redact, names=secret) != value)


def _call(label: str, function: KeyFunction, arguments: Mapping[str, Any]) -> Any:
    try:
        return function(**arguments)
    except JobsError:
        raise
    except Exception as error:
        raise ArgumentsError(f"{label}: the function of the key raised {type(error).__name__}: {error}") from error


def _is_key(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_KEY_LENGTH and value.isprintable()


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
