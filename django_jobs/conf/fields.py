"""Declare a setting with its reader, default and documentation; read a dict into a group of settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeVar

from ..exceptions import ConfigurationError, SettingsError
from ..policy.hints import option_hint

SETTING = "DJANGO_JOBS"
"""The setting of Django that is a dict of all of these."""

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
    keys: tuple[str, ...] = ()
    """Of a group: its keys."""


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
            keys=tuple(map(spell, declarations(settings))),
        ),
    )


def _declare(default: D, declaration: Declaration) -> D:
    return field(default_factory=lambda: default, metadata={"declaration": declaration})


def declarations(group: type) -> dict[str, Declaration]:
    """Return the settings declared in ``group`` by the names of their fields."""
    return {declared.name: declared.metadata["declaration"] for declared in fields(group)}


def read_group(group: type[T], option: str, given: object, *, spell: Callable[[str], str] = str.upper) -> T:
    """Check the dict ``given`` and return it as ``group``, or raise ConfigurationError with all that is wrong in it.

    ``spell`` makes the key in the dict of the name of a field.
    """
    known = {spell(name): (name, declaration) for name, declaration in declarations(group).items()}
    values = read_keys(
        option,
        given,
        {key: declaration.read for key, (_, declaration) in known.items()},
        nested={f"{option}[{key!r}]": declaration.keys for key, (_, declaration) in known.items()},
    )
    return group(**{known[key][0]: value for key, value in values.items()})


def read_keys(
    option: str,
    given: object,
    readers: Mapping[str, Reader[Any]],
    *,
    nested: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the dict ``given``, each value read by its key's reader, or raise SettingsError with all that is wrong.

    ``nested``: the keys of the dicts in this one, by their paths.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{option}: expected a dict, got {given!r}")
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in given.items():
        if key not in readers:
            problems.append(_unknown_key(option, key, readers, nested))
            continue
        try:
            values[key] = readers[key](f"{option}[{key!r}]", value)
        except ConfigurationError as error:
            problems += error.problems if isinstance(error, SettingsError) else [str(error)]
    if problems:
        raise SettingsError(problems)
    return values


def _unknown_key(option: str, key: object, known: Collection[str], nested: Mapping[str, Collection[str]]) -> str:
    hint = option_hint(key, known, elsewhere=nested) if isinstance(key, str) else ""
    return f"{option}: unknown key {key!r}; {hint or 'known are ' + ', '.join(sorted(known))}"
