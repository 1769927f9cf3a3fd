"""Text of a job on a page: controls are seen, and no script loses what it needs."""

from __future__ import annotations

import pytest

from django_jobs.policy.printable import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07\x7f\0", "\u241b[31mred\u2407\u2421\u2400"),
        ("10 %\r20 %", "10 %\u240d20 %"),
        ("\x9b31m \u2028 \u2066", "\\x9b31m \\u2028 \\u2066"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("send\u200b\u200bmail\ufeff", "send\\u200b\\u200bmail\\ufeff"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_controls_and_marks_that_hide_something_are_seen(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "line\r\n\tline\n",
        "caf\xe9\xa0\u2026",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u06cc\u062f",  # Persian, with a zero-width non-joiner
        "\U0001f469\u200d\U0001f4bb",  # an emoji of two
        "\u200f\u05e9\u05dc\u05d5\u05dd 1",
    ],
)
def test_what_a_script_needs_is_kept(text: str) -> None:
    assert visible(text) == text
