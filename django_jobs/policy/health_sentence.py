"""A sentence about the health of the service: how grave it is, its text and values, and the page where it is cured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from .messages import Plural


class Severity(StrEnum):
    """PROBLEM: work is not done. WARNING: somebody should look at it. NOTE: not new. FINE: nothing is wrong."""

    PROBLEM = "problem"
    WARNING = "warning"
    NOTE = "note"
    FINE = "fine"


class Page(StrEnum):
    """The kind of page that shows, and may cure, what a sentence says."""

    WORKERS = "workers"
    QUEUES = "queues"
    JOBS = "jobs"
    DEAD_LETTERS = "dead_letters"
    SCHEDULES = "schedules"
    LIMITS = "limits"
    BROKERS = "brokers"


class Share(float):
    """A part of a whole, in the values of a sentence."""

    def text(self, format_number: Callable[[float], str]) -> str:
        """Return it in per cent, with one decimal and a space that does not break: "6.1 %"."""
        percent = round(self * 100, 1)
        number = f"<{format_number(0.1)}" if self and not percent else format_number(percent)
        return f"{number}\N{NO-BREAK SPACE}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence. ``key`` names its kind; ``values`` are those of the text: durations, instants, shares as such.

    ``page`` shows the rows; with ``target`` the page of this one row, with ``query`` the list with this filter.
    """

    key: str
    severity: Severity
    text: Plural
    values: Mapping[str, object] = field(default_factory=dict)
    page: Page | None = None
    target: str | int | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    def render(
        self,
        *,
        translate: Callable[[Plural], str],
        format_duration: Callable[[timedelta], str],
        format_instant: Callable[[datetime], str] = "{:%Y-%m-%d %H:%M} UTC".format,
        format_number: Callable[[float], str] = "{:g}".format,
    ) -> str:
        """Return the sentence in the language of ``translate``, which chooses between the texts about one and more."""

        def text(value: object) -> object:
            match value:
                case timedelta():
                    return format_duration(value)
                case datetime():
                    return format_instant(value)
                case Share():
                    return value.text(format_number)
            return value

        values = {name: text(value) for name, value in self.values.items()}
        return translate(self.text) % {"number": self.text.number, **values}
