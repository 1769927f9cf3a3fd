"""Numbers as the current language writes them. Django's ``number_format`` cuts decimals off; these are rounded."""

from __future__ import annotations

from django.utils.formats import number_format


def rounded_text(number: float, *, decimals: int = 0) -> str:
    """Return a number rounded to that many decimals, its digits in groups."""
    return number_format(round(number, decimals), decimal_pos=decimals, force_grouping=True)


def rate_text(number: float) -> str:
    """Return how many there are in a time: with one decimal below 10."""
    return rounded_text(number, decimals=1 if round(number, 1) < 10 else 0)
