"""Truncate a long text in its middle."""

from __future__ import annotations


def truncate(text: str, max_length: int, *, around: str = "\n") -> str:
    """Return at most ``max_length`` characters of ``text``: the first fifth and the end, which usually says more.

    ``around`` is put before and after the note of how much is left out.
    """
    if len(text) <= max_length:
        return text
    gap = f"{around}... {len(text) - max_length} characters left out ...{around}"
    room = max_length - len(gap)
    if room <= 0:
        return text[:max_length]
    head = room // 5
    return text[:head] + gap + text[len(text) - (room - head) :]
