"""What workers import of this app: all of it."""

from __future__ import annotations

from . import animals, neighbours, sessions

__all__ = ["animals", "neighbours", "sessions"]
