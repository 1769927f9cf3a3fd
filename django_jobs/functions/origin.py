"""The place where a job is defined: tells one that is defined again from another function under the same name.

A module that is reloaded and a notebook's cell that is run again define their jobs anew, and the newer ones are right.
Two lambdas of a module, or two closures of one factory, share a derived name, and one would run in place of the other.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import CellType, CodeType, FrameType, FunctionType, MethodType
from typing import Any
from uuid import UUID

_COMPARABLE = (
    type(None), str, int, float, complex, bytes, date, time, timedelta, Decimal, UUID, Enum, PurePath, frozenset,
    CodeType,
)  # fmt: skip
_MODULE_LEVEL = "<module>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The place and the moment at which a function was made a job.

    ``reloadable``: by module, what is new after a reload: its spec. ``executed``: the module of the innermost top-level
    code at that moment, and that code, which is new in each cell of a notebook. ``is_own_module``: the function is of
    that module, whose import makes each of its jobs once.
    """

    name: str
    place: str
    reloadable: dict[str, object] = field(default_factory=dict)
    executed: tuple[str, object] = ("", None)
    is_own_module: bool = False

    def is_reloaded_by(self, other: Origin) -> bool:
        """Tell whether ``other`` was defined after a reload of a module that defined this one."""
        return any(spec is not other.reloadable.get(name, spec) for name, spec in self.reloadable.items())

    def is_rerun_by(self, other: Origin) -> bool:
        """Tell whether ``other`` was defined in a later cell of the same notebook or shell."""
        return self.executed[0] == other.executed[0] and self.executed[1] is not other.executed[1]


NOWHERE = Origin(name="", place="")
"""The origin of a definition that is not registered."""


def derived_name(function: Callable[..., Any]) -> str | None:
    """Return ``module.function``; None for a callable that has no name of its own."""
    name = getattr(function, "__qualname__", None)
    return f"{getattr(function, '__module__', None)}.{name}" if isinstance(name, str) else None


def is_lambda(function: Callable[..., Any]) -> bool:
    """Tell whether a function has no name that a later cell of a notebook could mean to define anew."""
    return getattr(function, "__qualname__", "") == "<lambda>"


def find_origin(function: Callable[..., Any]) -> Origin:
    """Return the origin of a function that is being made a job, by the calling frames."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    name = derived_name(function) or f"{type(function).__module__}.{type(function).__qualname__} object"
    namespaces = [getattr(inspect.unwrap(function), "__globals__", {})]
    executed: tuple[str, object] = ("", None)
    is_own_module = False
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to one's callers
    while frame is not None and frame.f_code.co_name != _MODULE_LEVEL:
        frame = frame.f_back
    if frame is not None:
        is_own_module = frame.f_globals is namespaces[0]
        namespaces.append(frame.f_globals)
        if frame.f_globals.get("__spec__") is None:
            executed = (str(frame.f_globals.get("__name__")), frame.f_code)
    return Origin(
        name=name,
        place=f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name,
        reloadable={
            str(namespace.get("__name__")): namespace["__spec__"]
            for namespace in namespaces
            if namespace.get("__spec__") is not None
        },
        executed=executed,
        is_own_module=is_own_module,
    )


def same_code(first: object, second: object) -> bool:
    """Tell whether both functions were made by the same ``def`` or ``lambda``, executed once or twice."""
    codes = [getattr(inspect.unwrap(function), "__code__", None) for function in (first, second)]  # type: ignore[arg-type]
    return codes[0] is not None and codes[0] is codes[1]


def is_same_object(first: Callable[..., Any], second: Callable[..., Any]) -> bool:
    """Tell whether both are one function, perhaps behind decorators."""
    return inspect.unwrap(first) is inspect.unwrap(second)


def same_function(first: object, second: object) -> bool:
    """Tell whether both do the same: the same code, with the same defaults and the same values closed over."""
    return _same(first, second, set())


def _same(first: Any, second: Any, seen: set[tuple[int, int]]) -> bool:
    pair = (id(first), id(second))
    if first is second or pair in seen:
        return True
    if type(first) is not type(second):
        return False
    seen.add(pair)
    parts = _PARTS.get(type(first))
    if parts is not None:
        return all(_same(one, other, seen) for one, other in zip(parts(first), parts(second), strict=True))
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(_same(*items, seen) for items in zip(first, second, strict=True))
    if isinstance(first, dict):
        return list(first) == list(second) and all(_same(first[key], second[key], seen) for key in first)
    if isinstance(first, CellType):
        return _same_cells(first, second, seen)
    if isinstance(getattr(first, "origin", None), Origin):
        return first.name == second.name and _same(first.function, second.function, seen)
    return isinstance(first, _COMPARABLE) and bool(first == second)


def _same_cells(first: CellType, second: CellType, seen: set[tuple[int, int]]) -> bool:
    """Compare what two closures hold; an empty cell is a name that is assigned later, such as the job's own."""
    try:
        return _same(first.cell_contents, second.cell_contents, seen)
    except ValueError:
        return True


_PARTS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    FunctionType: lambda function: (
        function.__code__,
        function.__defaults__,
        function.__kwdefaults__,
        function.__closure__,
    ),
    MethodType: lambda method: (method.__func__, method.__self__),
    partial: lambda bound: (bound.func, bound.args, bound.keywords),
}
