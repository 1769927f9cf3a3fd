"""Cut: a text that is too long without its middle."""

from __future__ import annotations


def cut(text: str, most: int, *, around: str = "\n") -> str:
    """Return ``text`` of at most ``most`` characters: the first fifth and the end, which says more.

    ``around`` stands before and after the words that say how much is left out.
    """
    if len(text) <= most:
        return text
    gap = f"{around}... {len(text) - most} characters left out ...{around}"
    room = most - len(gap)
    if room <= 0:
        return text[:most]
    head = room // 5
    return text[:head] + gap + text[len(text) - (room - head) :]
