"""Mark texts for translation; they are translated where they are shown."""

from __future__ import annotations

from typing import NamedTuple


class Plural(NamedTuple):
    """A text about one and about several, and how many they are."""

    singular: str
    plural: str
    number: int


def gettext_noop(message: str) -> str:
    """Return the text unchanged. Django's ``makemessages`` extracts calls of this name."""
    return message


def ngettext_lazy(singular: str, plural: str, number: int) -> Plural:
    """Return both texts, from which one is chosen where it is shown. ``makemessages`` extracts calls of this name."""
    return Plural(singular, plural, number)
