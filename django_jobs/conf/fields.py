"""Declare a setting with its reader, default and documentation; read a dict into a group of settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from ..exceptions import ConfigurationError

D = TypeVar("D")
T = TypeVar("T")
Reader = Callable[[str, object], T]
"""``(option, value) -> checked value``. ``option`` is the full path of the key, for the message of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Everything known about one setting besides its name and type."""

    read: Reader[Any]
    doc: str
    """One row of the reference page, in Markdown."""
    default_text: str | None
    """The default as the page shows it, if not by its value."""
    spell: Callable[[str], str] | None
    """For a group: makes the key in the dict of the name of a field. None: a single value."""


def setting(default: D, *, read: Reader[T], doc: str, default_text: str | None = None) -> D | T:
    """Declare a field of a group: its default, the reader that checks a given value, and its documentation."""
    return _declare(default, Declaration(read=read, doc=doc, default_text=default_text, spell=None))


def group(settings: type[T], *, spell: Callable[[str], str] = str.upper) -> T:
    """Declare a field whose value is a group of settings, documented by the docstring of its class."""
    return _declare(
        settings(),
        Declaration(
            read=lambda option, value: read_group(settings, option, value, spell=spell),
            doc=(settings.__doc__ or "").replace("``", "`"),
            default_text="below",
            spell=spell,
        ),
    )


def _declare(default: D, declaration: Declaration) -> D:
    return field(default_factory=lambda: default, metadata={"declaration": declaration})


def declarations(group: type) -> dict[str, Declaration]:
    """Return the settings declared in ``group`` by the names of their fields."""
    return {declared.name: declared.metadata["declaration"] for declared in fields(group)}


def read_group(group: type[T], option: str, given: object, *, spell: Callable[[str], str] = str.upper) -> T:
    """Check the dict ``given`` and return it as ``group``, or raise ConfigurationError.

    ``spell`` makes the key in the dict of the name of a field.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{option}: expected a dict, got {given!r}")
    known = {spell(name): (name, declaration) for name, declaration in declarations(group).items()}
    refuse_unknown_keys(option, given, known)
    values = {}
    for key, value in given.items():
        name, declaration = known[key]
        values[name] = declaration.read(f"{option}[{key!r}]", value)
    return group(**values)


def refuse_unknown_keys(option: str, given: Mapping[Any, Any], known: Collection[str]) -> None:
    """Raise ConfigurationError, listing the known keys, if ``given`` has any other."""
    if unknown := [key for key in given if key not in known]:
        raise ConfigurationError(
            f"{option}: unknown key {', '.join(map(repr, unknown))}; known are {', '.join(sorted(known))}"
        )
