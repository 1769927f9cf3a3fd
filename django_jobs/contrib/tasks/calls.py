"""How a Task was called, kept in its job's metadata, and a signature that takes calls that do not fit.

A job stores arguments by name, so that they can be searched. What a TaskResult needs besides is under one reserved
key of the metadata; defaults are left out::

    {"django_jobs_task": {"alias": "slow", "args": ["user_id"], "run_after": "2026-01-01T00:00:00+00:00"}}

``args``: the arguments that were given by position. ``run_after``: an instant, or seconds from the enqueue.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from ...arguments.serialization import decode
from ...arguments.signature import VAR_KEYWORD_KEY, VAR_POSITIONAL_KEY, CallSignature
from ...exceptions import ArgumentsError, SerializationError
from ...policy.durations import as_timedelta
from ...policy.metadata import TASK
from .plain_json import as_json_arguments

C = TypeVar("C", list[Any], dict[str, Any])

DEFAULT_ALIAS = "default"
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class TaskCall(NamedTuple):
    """One enqueue of a Task without the values: its alias, the arguments given by position, ``run_after``.

    ``alias``: None for the default one, if the Task was built with that.
    """

    alias: str | None = None
    positions: tuple[str, ...] = ()
    run_after: datetime | timedelta | None = None

    def add_to(self, metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return metadata with this call in it."""
        stored: dict[str, Any] = {}
        if self.alias is not None:
            stored["alias"] = self.alias
        if self.positions:
            stored["args"] = list(self.positions)
        if isinstance(self.run_after, timedelta):
            stored["run_after"] = self.run_after.total_seconds()
        elif self.run_after is not None:
            stored["run_after"] = self.run_after.isoformat()
        return {**(metadata or {}), TASK: stored} if stored else metadata

    @classmethod
    def read(cls, metadata: Any, *, alias: str, enqueued_at: datetime) -> TaskCall:
        """Return the call that stored metadata tells of. ``alias``: of a job that was not enqueued by a backend."""
        if not isinstance(metadata, dict) or TASK not in metadata:
            return cls(alias)
        stored = _decoded(metadata[TASK])
        return cls(
            stored["alias"] if isinstance(stored.get("alias"), str) else alias,
            tuple(filter(_is_text, _as(list, stored.get("args")))),
            _instant(stored.get("run_after"), enqueued_at),
        )

    def arguments(self, stored: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return stored arguments as they were given."""
        left = _decoded(stored)
        surplus, keywords = _as(list, left.pop(VAR_POSITIONAL_KEY, [])), _as(dict, left.pop(VAR_KEYWORD_KEY, {}))
        args = [left.pop(name) for name in self.positions if name in left]
        return [*args, *surplus], {**left, **keywords}


class TaskSignature(CallSignature):
    """The signature of a Task's function: arguments are JSON, and nothing else.

    The ``enqueue`` of a Task refuses only what JSON cannot carry: by ``bind_as_given`` a call that does not fit is
    stored as it is, and refused when it is to run.
    """

    def __init__(self, function: Any, *, name: str, takes_context: bool) -> None:
        super().__init__(function, name=name, takes_context=takes_context)
        kinds = {parameter.kind for parameter in self.parameters.values()}
        self._takes_surplus = inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
        self._by_position = [name for name, parameter in self.parameters.items() if parameter.kind in _BY_POSITION]

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by parameter name. Raises ArgumentsError, and SerializationError for no JSON."""
        try:
            args, kwargs = as_json_arguments(list(args)), as_json_arguments(dict(kwargs))
        except TypeError as error:
            raise SerializationError(self._refusal(args, kwargs, error)) from None
        return super().bind(args, kwargs)

    def bind_as_given(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return the arguments by name, or as they are, and whether they fit. Raises TypeError for what is no JSON."""
        try:
            args, kwargs = as_json_arguments(list(args)), as_json_arguments(dict(kwargs))
        except TypeError as error:
            raise TypeError(self._refusal(args, kwargs, error)) from None
        if not args and not kwargs and not self.parameters:
            return {}, True
        try:
            return super().bind(args, kwargs), True
        except ArgumentsError:
            return {VAR_POSITIONAL_KEY: args, VAR_KEYWORD_KEY: kwargs}, False

    def _refusal(self, args: Sequence[Any], kwargs: Mapping[str, Any], error: TypeError) -> str:
        """Return the text of an error about arguments, with the name of the first that JSON cannot carry."""
        names = [*self.positions(args), *map(str, range(len(self._by_position) + 1, len(args) + 1))]
        for name, value in (*zip(names, args, strict=True), *kwargs.items()):
            try:
                as_json_arguments(value)
            except TypeError:
                return f"{self.name}: argument {name!r}: {error}"
        return f"{self.name}: {error}"

    def positions(self, args: Sequence[Any]) -> tuple[str, ...]:
        """Return the names of the parameters that these positions fill."""
        return tuple(self._by_position[: len(args)])

    def call_arguments(self, stored: object) -> tuple[list[Any], dict[str, Any]]:
        """Return positions and keywords for the call. Raises ArgumentsError for a call that did not fit."""
        args, kwargs = super().call_arguments(stored)
        if VAR_KEYWORD_KEY in stored or (VAR_POSITIONAL_KEY in stored and not self._takes_surplus):  # type: ignore[operator]  # call_arguments has read it
            super().bind(args, kwargs)
        return args, kwargs


def as_moment(run_after: Any) -> datetime | timedelta | None:
    """Return a ``run_after`` that was checked, seconds as a timedelta."""
    return run_after if run_after is None or isinstance(run_after, datetime) else as_timedelta(run_after)


def _instant(stored: Any, enqueued_at: datetime) -> datetime | None:
    if stored is None:
        return None
    try:
        return datetime.fromisoformat(stored) if isinstance(stored, str) else enqueued_at + timedelta(seconds=stored)
    except (TypeError, ValueError, OverflowError):  # after an edit by hand
        return None


def _as(kind: type[C], stored: Any) -> C:
    """Return a stored list or object, an empty one after an edit by hand."""
    return stored if isinstance(stored, kind) else kind()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _decoded(stored: Any) -> dict[str, Any]:
    """Return stored arguments, or their JSON as it is if they refer to what is not there: a result, a deleted row."""
    if not isinstance(stored, dict):  # after an edit by hand
        return {}
    try:
        return {name: decode(value) for name, value in stored.items()}
    except Exception:  # noqa: BLE001 - loading a row may raise anything
        return dict(stored)
