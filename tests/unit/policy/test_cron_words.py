"""Cron expressions in plain words."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_jobs.policy.cron import occurrences
from django_jobs.policy.cron_words import describe_cron


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 9 * * 1", "At 09:00 on Monday"),
        ("30 2 * * *", "At 02:30 every day"),
        ("@daily", "At 00:00 every day"),
        ("@hourly", "Every hour"),
        ("@yearly", "At 00:00 on day 1 of the month in January"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("* * * * *", "Every minute"),
        ("5 * * * *", "At minute 5 of every hour"),
        ("0 */2 * * *", "On the hour of every 2nd hour"),
        ("*/10 9-17 * * mon-fri", "Every 10 minutes from 09:00 to 17:59 on Monday to Friday"),
        ("15,45 1-3 * * *", "At minute 15 and 45 from 01:00 to 03:59 every day"),
        ("0 9,18 * * *", "At 09:00 and 18:00 every day"),
        ("0 0 13 * 5", "At 00:00 on day 13 of the month, and on Friday"),
        ("0 0 */13 * 5", "At 00:00 on days 1, 14 and 27 of the month, if it is on Friday"),
        ("0 0 */2 * *", "At 00:00 on every 2nd day of the month, from the first on"),
        ("0 0 */1 * *", "At 00:00 every day"),
        ("0 0 */1 */1 */1", "At 00:00 every day"),
        ("*/70 * * * *", "Every hour"),
        ("*/45 * * * *", "At minute 0 and 45 of every hour"),
        ("0 */5 * * *", "At 00:00, 05:00, 10:00, 15:00 and 20:00 every day"),
        ("0 */25 * * *", "At 00:00 every day"),
        ("0 9-17/2 * * *", "At 09:00, 11:00, 13:00, 15:00 and 17:00 every day"),
        ("0 0/6 * * *", "At 00:00, 06:00, 12:00 and 18:00 every day"),
        ("0 22-2 * * *", "On the hour from 22:00 to 02:59"),
        ("5-5 * * * *", "At minute 5 of every hour"),
        ("00 09 * * * 00", "At 09:00 every day"),
        ("0 5 * * * *", "Every second at minute 0 of hour 5"),
        ("0 0 * */3 *", "At 00:00 every day in January, April, July and October"),
        ("0 0 * jan-mar *", "At 00:00 every day in January to March"),
        ("0 0 * * 1-5/2", "At 00:00 on Monday, Wednesday and Friday"),
        ("0 0 * * 0,7", "At 00:00 on Sunday"),
        ("0 0 * * 5#3,1", "At 00:00 on the third Friday of the month and Monday"),
        ("0 0 15,L * *", "At 00:00 on day 15 and the last day of the month"),
        ("0 0 15W * *", "At 00:00 on the weekday nearest to day 15 of the month"),
        ("H H H * *", "H H H * *"),
        ("0 0-H * * *", "0 0-H * * *"),
        ("0 12 1,15 jan,jul *", "At 12:00 on days 1 and 15 of the month in January and July"),
        ("0 0 * * 5#3", "At 00:00 on the third Friday of the month"),
        ("0 0 * * L5", "At 00:00 on the last Friday of the month"),
        ("59 23 L * *", "At 23:59 on the last day of the month"),
        ("0 0 * * 7", "At 00:00 on Sunday"),
        ("30 2 * * * 15", "At 02:30:15 every day"),
        ("* * * * * */20", "Every 20 seconds"),
        ("H(0-30) */2 * * *", "H(0-30) */2 * * *"),
        ("H/15 * * * thu", "H/15 * * * thu"),
        ("what is this", "what is this"),
        ("", ""),
    ],
)
def test_an_expression_in_plain_words(cron: str, words: str) -> None:
    assert describe_cron(cron) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "Every second"),
        (10, "Every 10 seconds"),
        (60, "Every minute"),
        (90, "Every 90 seconds"),
        (3_600, "Every hour"),
        (7_200, "Every 2 hours"),
        (86_400, "Every day"),
        (1.5, "Every 1.5 seconds"),
    ],
)
def test_a_period_in_plain_words(seconds: float, words: str) -> None:
    assert describe_cron("", every=timedelta(seconds=seconds)) == words


def test_the_sentence_is_english_in_every_language() -> None:
    with translation.override("de"):
        assert describe_cron("0 9 * * 1") == "At 09:00 on Monday"


@pytest.mark.slow
@settings(max_examples=200)
@example("0 0-H 0 0 0")
@given(
    st.lists(st.text(alphabet="0123456789*/,-#LlHh()?monjanW²٣", min_size=1, max_size=8), min_size=5, max_size=6).map(
        " ".join
    )
)
def test_an_invalid_expression_has_some_description(cron: str) -> None:
    """A row edited by hand is shown in a list among others."""
    assert describe_cron(cron)


FIELDS = (
    ("0", "5", "*", "*/1", "*/7", "*/15", "*/30", "*/70", "0,30", "0-10", "5-5", "5/20", "0-59", "1-59/2"),
    ("0", "9", "*", "*/1", "*/2", "*/5", "*/25", "9-17", "9-17/2", "22-2", "0/6", "9,12-14", "0-23"),
    ("*", "*/1", "*/2", "*/13", "1", "13", "L", "1-7", "1-31", "1,L", "1-31/2", "15W"),
    ("*", "*/1", "*/3", "3", "jan-mar", "1,4", "jan,apr,jul,oct", "1-12"),
    ("*", "*/1", "*/2", "5", "fri", "1-5", "mon-fri", "0,7", "5#3", "L5", "5#3,1", "0-6", "sun-sat", "6-7"),
    ("0", "0", "0", "00", "30", "*", "*/20"),
)


@pytest.mark.slow
def test_expressions_that_read_alike_fire_alike() -> None:
    dice = random.Random(7)
    after = datetime(2026, 1, 30, 23, 59, 59, tzinfo=UTC)
    fires: dict[str, tuple[str, list[datetime]]] = {}
    for _ in range(1_500):
        one = [dice.choice(FIELDS[at]) for at in range(6)]
        # Most fields plain, so that many read alike.
        for at in dice.sample(range(5), 3):
            one[at] = FIELDS[at][0]
        cron = " ".join(one)
        instants = list(islice(occurrences(cron, zone="UTC", after=after), 40))
        first, expected = fires.setdefault(describe_cron(cron), (cron, instants))
        assert instants == expected, f"{first!r} and {cron!r} both read {describe_cron(cron)!r}"
