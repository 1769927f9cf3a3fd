"""Arguments in one short line."""

from __future__ import annotations

from django_jobs.policy.short_arguments import short_arguments


def test_values_are_written_as_json_and_tagged_ones_as_what_they_stand_for() -> None:
    arguments = {
        "user_id": 7,
        "note": "naïve",
        "at": {"$type": "date", "value": "2026-03-01"},
        "order": {"$type": "model", "model": "shop.order", "pk": {"$type": "uuid", "value": "5b0c"}},
    }
    assert short_arguments(arguments) == 'user_id=7, note="naïve", at=2026-03-01, order=shop.order 5b0c'


def test_a_long_line_is_cut() -> None:
    assert short_arguments({"text": "x" * 100}, max_chars=10) == 'text="xxx…'
    assert short_arguments({}) == ""
