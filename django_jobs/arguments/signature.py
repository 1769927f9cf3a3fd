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
from ..policy.hints import misplaced_options_hint, misspelt_argument_hint
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
        self._context_name: str | None = None
        if takes_context:
            if not parameters or parameters[0].kind not in _POSITIONAL:
                raise ConfigurationError(f"@job {name}: takes_context=True needs a first parameter for the context")
            if parameters[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
                self._context_name = parameters[0].name
            parameters = parameters[1:]
        self.signature = inspect.Signature(parameters)
        self.parameters = self.signature.parameters
        self._positional = [name for name, parameter in self.parameters.items() if parameter.kind in _POSITIONAL]
        self._required_positions = [
            name
            for name, parameter in self.parameters.items()
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is inspect.Parameter.empty
        ]
        self._plain_names = _plain_names(self.signature)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by parameter name. Raises ArgumentsError naming the job and the argument."""
        names = self._plain_names.get(len(args) + len(kwargs))
        if names is not None and (not kwargs or tuple(kwargs) == names[len(args) :]):
            return {**dict(zip(names, args, strict=False)), **kwargs}
        try:
            bound = self.signature.bind(*args, **kwargs).arguments
            for name in self._required_positions:
                if name not in bound:  # some versions of Python take a keyword of this name for it
                    raise TypeError(f"missing a required argument: {name!r}")
        except TypeError as error:
            unknown = [name for name in kwargs if name not in self.parameters]
            hint = misplaced_options_hint(unknown) or misspelt_argument_hint(unknown, self.parameters)
            raise ArgumentsError(f"{self.name}{self.signature}: {error}{hint}") from None
        stored: dict[str, Any] = {}
        for name, value in bound.items():
            kind = self.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                stored[VAR_POSITIONAL_KEY] = list(value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                if self._context_name in value:
                    raise ArgumentsError(
                        f"{self.name}{self.signature}: got an argument {self._context_name!r}, which is the context"
                        " that the worker passes"
                    )
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
        surplus, keywords = _NONE
        if VAR_POSITIONAL_KEY in left or VAR_KEYWORD_KEY in left:
            surplus, keywords = _take_surplus(left)
        positions = []
        for name in self._positional:
            if name not in left:
                break
            positions.append(left.pop(name))
        if surplus:
            positions.extend(surplus)
        return positions, {**left, **keywords} if keywords else left


def _plain_names(signature: inspect.Signature) -> dict[int, tuple[str, ...]]:
    """Return the names of the arguments of a call without surplus, in their order, by how many there are.

    Nearly all calls are such, and ``inspect.Signature.bind`` takes eight times as long. Empty for a function of which
    that cannot be told by the number.
    """
    positional = [one for one in signature.parameters.values() if one.kind in _POSITIONAL]
    for one in signature.parameters.values():
        is_required_keyword = one.kind is inspect.Parameter.KEYWORD_ONLY and one.default is inspect.Parameter.empty
        if is_required_keyword or one.kind is inspect.Parameter.POSITIONAL_ONLY:
            return {}
    required = sum(one.default is inspect.Parameter.empty for one in positional)
    names = tuple(one.name for one in positional)
    return {number: names[:number] for number in range(required, len(names) + 1)}


_NONE: tuple[list[Any], dict[str, Any]] = ([], {})


def _take_surplus(left: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Remove and return surplus positions, and keywords that share a name with a parameter."""
    surplus = left.pop(VAR_POSITIONAL_KEY, [])
    if not isinstance(surplus, list):
        raise SerializationError(
            f"arguments: expected an array under {VAR_POSITIONAL_KEY!r}, got {type(surplus).__name__}"
        )
    return surplus, as_object(left.pop(VAR_KEYWORD_KEY, {}), f"arguments[{VAR_KEYWORD_KEY!r}]")


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    """Return the signature of a function, or of the call of an object that is a descriptor too."""
    for known in (function, MethodType(type(function).__call__, function)):
        try:
            return inspect.signature(known)
        except (TypeError, ValueError):
            continue
    raise ConfigurationError(f"@job {name}: expected a function with a signature, got {function!r}")
