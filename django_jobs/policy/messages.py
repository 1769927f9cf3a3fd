"""Mark texts for translation; they are translated where they are shown."""

from __future__ import annotations


def gettext_noop(message: str) -> str:
    """Return the text unchanged. Django's ``makemessages`` extracts calls of this name."""
    return message
