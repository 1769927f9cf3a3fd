"""The phrases that ``cron_words.py`` puts together, in the language that is asked for."""

from __future__ import annotations

from typing import Protocol

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SHORT_DAYS = {name[:3].lower(): number for number, name in enumerate(_DAYS[:7])}
SHORT_MONTHS = {name[:3].lower(): number for number, name in enumerate(_MONTHS) if name}


class Translations(Protocol):
    """What ``gettext.NullTranslations`` has, and the module ``django.utils.translation``."""

    def gettext(self, message: str, /) -> str:
        """Return the message in the language."""

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        """Return the message in the form for so many."""


class Phrases:
    """Says things of a schedule. Days and months are translated by Django's own catalogues."""

    def __init__(self, translations: Translations) -> None:
        self._translations = translations

    def gettext(self, message: str, **values: object) -> str:
        """Return the message with the values put in. The name is one that ``makemessages`` looks for."""
        return self._translations.gettext(message) % values

    def ngettext(self, singular: str, plural: str, number: float) -> str:
        """Return the message for so many, with ``number`` put in."""
        count = int(number) if number == int(number) else 2
        return self._translations.ngettext(singular, plural, count) % {"number": f"{number:g}"}

    def every(self, unit: str, number: float = 1) -> str:
        """Return that something happens every so many seconds, minutes, hours, days, months or weekdays."""
        match unit:
            case "second":
                return self.ngettext("every second", "every %(number)s seconds", number)
            case "minute":
                return self.ngettext("every minute", "every %(number)s minutes", number)
            case "hour":
                return self.ngettext("every hour", "every %(number)s hours", number)
            case "day":
                return self.ngettext("every day", "every %(number)s days", number)
            case "month":
                return self.gettext("every month")
            case _:
                return self.gettext("every weekday")

    def of_its_own(self, unit: str) -> str:
        """Return that the schedule's name chooses one."""
        match unit:
            case "second":
                return self.gettext("a second of its own")
            case "minute":
                return self.gettext("a minute of its own")
            case "hour":
                return self.gettext("an hour of its own")
            case "day":
                return self.gettext("a day of its own")
            case "month":
                return self.gettext("a month of its own")
            case _:
                return self.gettext("a weekday of its own")

    def weekday(self, value: str) -> str:
        """Return the name of a day of the week, given as a number or by its English name; else what came."""
        number = int(value) if value.isdecimal() else SHORT_DAYS.get(value.lower(), 99)
        return self._translations.gettext(_DAYS[number]) if number <= 7 else value

    def month(self, value: str) -> str:
        """Return the name of a month, given as a number or by its English name; else what came."""
        number = int(value) if value.isdecimal() else SHORT_MONTHS.get(value.lower(), 0)
        return self._translations.gettext(_MONTHS[number]) if 1 <= number <= 12 else value

    def nth_weekday(self, number: int, weekday: str) -> str:
        """Return which of a month's Mondays, say, is meant."""
        match number:
            case 1:
                return self.gettext("the first %(weekday)s of the month", weekday=weekday)
            case 2:
                return self.gettext("the second %(weekday)s of the month", weekday=weekday)
            case 3:
                return self.gettext("the third %(weekday)s of the month", weekday=weekday)
            case 4:
                return self.gettext("the fourth %(weekday)s of the month", weekday=weekday)
            case 5:
                return self.gettext("the fifth %(weekday)s of the month", weekday=weekday)
            case _:
                return self.gettext("the %(number)s %(weekday)s of the month", number=number, weekday=weekday)

    def ordinal(self, number: int) -> str:
        """Return 2nd, 3rd and so on."""
        match 0 if number % 100 in {11, 12, 13} else number % 10:
            case 1:
                return self.gettext("%(number)sst", number=number)
            case 2:
                return self.gettext("%(number)snd", number=number)
            case 3:
                return self.gettext("%(number)srd", number=number)
            case _:
                return self.gettext("%(number)sth", number=number)

    def joined(self, parts: list[str]) -> str:
        """Return a list in one phrase."""
        if len(parts) == 1:
            return parts[0]
        return self.gettext("%(first)s and %(last)s", first=", ".join(parts[:-1]), last=parts[-1])
