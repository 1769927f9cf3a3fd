"""Bind arguments to a job's signature by name, and turn stored arguments back into a call.

The stored form is one JSON object: parameter name or keyword to value, ``*`` to the list of surplus positions, ``**``
to keywords that share a name with a positional-only parameter. So rows can be searched by argument, and the order of
parameters may change between deploys.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

from ..exceptions import ArgumentsError, ConfigurationError, SerializationError
from .plain import plain_text
from .serialization import TAG, as_object, check_key

VAR_POSITIONAL_KEY = "*"
VAR_KEYWORD_KEY = "**"
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class CallSignature:
    """The signature of a job's function, without the context that the worker passes."""

    def __init__(self, function: Callable[..., Any], *, name: str, takes_context: bool) -> None:
        self.name = name
        parameters = list(_signature(function, name).parameters.values())
        if takes_context:
            if not parameters or parameters[0].kind not in _POSITIONAL:
                raise ConfigurationError(f"@job {name}: takes_context=True needs a first parameter for the context")
            parameters = parameters[1:]
        self.signature = inspect.Signature(parameters)
        self.parameters = self.signature.parameters

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by parameter name. Raises ArgumentsError naming the job and the argument."""
        try:
            bound = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise ArgumentsError(f"{self.name}{self.signature}: {error}") from None
        stored: dict[str, Any] = {}
        for name, value in bound.items():
            kind = self.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                stored[VAR_POSITIONAL_KEY] = list(value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                taken = {*self.parameters, VAR_POSITIONAL_KEY, VAR_KEYWORD_KEY, TAG}
                keywords = {self._keyword(key): item for key, item in value.items()}
                clashing = {key: keywords.pop(key) for key in list(keywords) if key in taken}
                stored.update(keywords)
                if clashing:
                    stored[VAR_KEYWORD_KEY] = clashing
            else:
                stored[name] = value
        return stored

    def _keyword(self, name: str) -> str:
        what = f"{self.name}: keyword arguments"
        return check_key(plain_text(name, what), what)

    def has(self, name: str) -> bool:
        """Tell whether ``bind`` may return a value under this name."""
        kinds = {parameter.kind for parameter in self.parameters.values()}
        return (
            name in self.parameters
            or inspect.Parameter.VAR_KEYWORD in kinds
            or (name == VAR_POSITIONAL_KEY and inspect.Parameter.VAR_POSITIONAL in kinds)
        )

    def by_name(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return all arguments by name, with defaults filled in; surplus positions as one list."""
        filled: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                filled[name] = stored.get(VAR_POSITIONAL_KEY, [])
            elif parameter.default is not inspect.Parameter.empty:
                filled[name] = parameter.default
        named = {name: value for name, value in stored.items() if name not in {VAR_POSITIONAL_KEY, VAR_KEYWORD_KEY}}
        return {**filled, **stored.get(VAR_KEYWORD_KEY, {}), **named}

    def call_arguments(self, stored: object) -> tuple[list[Any], dict[str, Any]]:
        """Return positions and keywords for the call, which itself refuses arguments that do not fit.

        Raises SerializationError if ``stored`` does not have the form that ``bind`` makes, after an edit by hand.
        """
        left = dict(as_object(stored, "arguments"))
        surplus = left.pop(VAR_POSITIONAL_KEY, [])
        if not isinstance(surplus, list):
            raise SerializationError(
                f"arguments: expected an array under {VAR_POSITIONAL_KEY!r}, got {type(surplus).__name__}"
            )
        keywords = as_object(left.pop(VAR_KEYWORD_KEY, {}), f"arguments[{VAR_KEYWORD_KEY!r}]")
        positions = []
        for parameter in self.parameters.values():
            if parameter.kind not in _POSITIONAL or parameter.name not in left:
                break
            positions.append(left.pop(parameter.name))
        return [*positions, *surplus], {**left, **keywords}


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    """Return the signature of a function, or of the call of an object that is a descriptor too."""
    for known in (function, MethodType(type(function).__call__, function)):
        try:
            return inspect.signature(known)
        except (TypeError, ValueError):
            continue
    raise ConfigurationError(f"@job {name}: expected a function with a signature, got {function!r}")
