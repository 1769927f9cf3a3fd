"""Values of filters in query strings: times, durations before now, ids."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from .messages import gettext_noop

MAX_ID = 2**63 - 1
MIN_YEAR, MAX_YEAR = 1000, 9998
"""Years that every database stores and that fit whatever the time zone."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PERIOD = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,4})M)?)?")


class FilterError(ValueError):
    """A parameter with a wrong value.

    ``expected`` is a translatable text with ``values`` for its placeholders, ``got`` the value.
    """

    def __init__(self, parameter: str, expected: str, got: object, **values: object) -> None:
        super().__init__(f"{parameter}: expected {expected % values}, got {got!r}")
        self.parameter = parameter
        self.expected = expected
        self.values = values
        self.got = got


def as_since(parameter: str, text: str, zone: tzinfo) -> datetime | timedelta | None:
    """Return a datetime, or for text such as P1DT2H a duration before now. Raises FilterError."""
    period = _PERIOD.fullmatch(text)
    if period is None or not any(period.groups()):
        return as_instant(parameter, text, zone)
    days, hours, minutes = (int(part or 0) for part in period.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def as_instant(parameter: str, text: str, zone: tzinfo) -> datetime | None:
    """Return a datetime; one without a time zone is in ``zone``. Raises FilterError."""
    if not text:
        return None
    try:
        # An unescaped plus in a query string is decoded as a space.
        instant = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", text))
        if not MIN_YEAR <= instant.year <= MAX_YEAR:
            raise ValueError
        return instant if instant.tzinfo else instant.replace(tzinfo=zone)
    except ValueError:
        raise FilterError(parameter, gettext_noop("an instant such as 2026-03-01T09:30"), text) from None


def as_id(parameter: str, text: str) -> int | None:
    """Return the id of a row. Raises FilterError."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_ID):
        raise FilterError(parameter, gettext_noop("an id"), text)
    return int(text)


def is_storable(text: str) -> bool:
    """Tell whether every database takes the text: without NUL and lone surrogates."""
    return _UNSTORABLE.search(text) is None


def as_text(value: datetime | timedelta) -> str:
    """Return the text of a datetime or duration, the inverse of ``as_since``."""
    if isinstance(value, datetime):
        return value.isoformat()
    minutes = value // timedelta(minutes=1)
    return f"P{minutes // 1440}DT{minutes // 60 % 24}H{minutes % 60}M"
