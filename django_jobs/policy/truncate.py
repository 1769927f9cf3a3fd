"""Cut: a text that is too long without its middle."""

from __future__ import annotations


def truncate(text: str, max_length: int, *, around: str = "\n") -> str:
    """Return ``text`` of at most ``max_length`` characters: the first fifth and the end, which says more.

    ``around`` stands before and after the words that say how much is left out.
    """
    if len(text) <= max_length:
        return text
    gap = f"{around}... {len(text) - max_length} characters left out ...{around}"
    room = max_length - len(gap)
    if room <= 0:
        return text[:max_length]
    head = room // 5
    return text[:head] + gap + text[len(text) - (room - head) :]
