"""Marks a text that is translated where it is shown, so that it gets into the catalogues: policy knows no language."""

from __future__ import annotations


def gettext_noop(message: str) -> str:
    """Return the text as it is. The name is one that Django's ``makemessages`` looks for."""
    return message
