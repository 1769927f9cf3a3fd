"""Cron expressions in plain words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_jobs.policy.cron_words import in_words


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
        ("0 0 */13 * 5", "At 00:00 on every 13th day of the month, if it is on Friday"),
        ("0 12 1,15 jan,jul *", "At 12:00 on days 1 and 15 of the month in January and July"),
        ("0 0 * * 5#3", "At 00:00 on the third Friday of the month"),
        ("0 0 * * L5", "At 00:00 on the last Friday of the month"),
        ("59 23 L * *", "At 23:59 on the last day of the month"),
        ("0 0 * * 7", "At 00:00 on Sunday"),
        ("30 2 * * * 15", "At 02:30:15 every day"),
        ("* * * * * */20", "Every 20 seconds"),
        ("H H * * *", "At a minute of its own of an hour of its own every day"),
        ("what is this", "what is this"),
        ("", ""),
    ],
)
def test_an_expression_in_plain_words(cron: str, words: str) -> None:
    assert in_words(cron) == words


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
    assert in_words("", every=timedelta(seconds=seconds)) == words
