"""When a job expires, and whether it could begin before that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.expiry import NO_EXPIRY, Expiry, expiry_error, resolve_expiry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EARLY, LATE = datetime(2025, 1, 1), datetime(2030, 1, 1)  # noqa: DTZ001 - as hypothesis wants them

spans = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3650))
instants = st.datetimes(min_value=EARLY, max_value=LATE, timezones=st.just(UTC))
dues = st.none() | instants | st.timedeltas(min_value=-timedelta(days=1), max_value=timedelta(days=3650))


@pytest.mark.parametrize(
    ("own", "usual", "run_after", "expected"),
    [
        (None, None, HOUR, NO_EXPIRY),
        (NOW + HOUR, 2 * HOUR, None, Expiry(at=NOW + HOUR)),
        (HOUR, 2 * HOUR, None, Expiry(seconds=3600)),
        (None, HOUR, None, Expiry(seconds=3600)),
        (None, HOUR, HOUR, Expiry(seconds=7200)),
        (None, HOUR, -HOUR, Expiry(seconds=3600)),
        (None, HOUR, NOW + HOUR, Expiry(at=NOW + 2 * HOUR)),
        (None, HOUR, NOW - 9 * HOUR, Expiry(at=NOW + HOUR)),
    ],
)
def test_the_expiry_of_the_enqueue_overrides_the_definitions(
    own: datetime | timedelta | None,
    usual: timedelta | None,
    run_after: datetime | timedelta | None,
    expected: Expiry,
) -> None:
    assert resolve_expiry(own, usual, run_after=run_after, now=NOW) == expected


@given(usual=spans, run_after=dues)
def test_the_definitions_expiry_is_never_before_the_job_is_due(
    usual: timedelta, run_after: datetime | timedelta | None
) -> None:
    expiry = resolve_expiry(None, usual, run_after=run_after, now=NOW)
    assert expiry_error(expiry, run_after=run_after, now=NOW) is None


@given(own=instants | spans, run_after=dues)
def test_a_job_is_refused_exactly_if_it_could_never_start(
    own: datetime | timedelta, run_after: datetime | timedelta | None
) -> None:
    expiry = resolve_expiry(own, None, run_after=run_after, now=NOW)
    until = NOW + own if isinstance(own, timedelta) else own
    due = NOW + run_after if isinstance(run_after, timedelta) else run_after
    never = until <= max(NOW, due or NOW)
    # Seconds as a float are good for a microsecond or so.
    if abs(until - max(NOW, due or NOW)) > timedelta(milliseconds=1):
        assert (expiry_error(expiry, run_after=run_after, now=NOW) is not None) is never


def test_the_refusal_says_what_was_expected() -> None:
    assert expiry_error(Expiry(at=NOW), run_after=None, now=NOW) == "an instant in the future"
    assert expiry_error(Expiry(seconds=3600), run_after=2 * HOUR, now=NOW) == (
        "an instant after its run_after (2:00:00)"
    )
    assert expiry_error(NO_EXPIRY, run_after=HOUR, now=NOW) is None
