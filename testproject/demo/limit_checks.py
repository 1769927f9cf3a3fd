"""Look whether every limit was kept: by what the carrier saw, and by when each try began and ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from django_jobs.models import Attempt
from django_jobs.policy.outcomes import AttemptOutcome
from testproject.shop.jobs import TWO_DRAW, follow_parcel, render_invoice, resize_picture
from testproject.shop.models import Invoice

from .checks import Check
from .partners import CARRIER_CALLS_A_SECOND, Partners


def look_at_limits(partners: Partners) -> Iterator[Check]:
    """Yield a check for each limit that the shop sets."""
    yield _rate(partners)
    yield _busy(partners)
    yield _drawing()
    yield _numbers()


def _rate(partners: Partners) -> Check:
    calls = sorted(partners.carrier_called_at)
    most = max((sum(1 for at in calls[i:] if at - calls[i] < 1) for i in range(len(calls))), default=0)
    return Check(
        what=f"{len(calls)} calls to the carrier, by its own clock never more than {most} in a second;"
        f" {CARRIER_CALLS_A_SECOND} are allowed",
        wrong="" if most <= CARRIER_CALLS_A_SECOND else "that is more than allowed",
    )


def _busy(partners: Partners) -> Check:
    snoozes = Attempt.objects.filter(job__name=follow_parcel.name, outcome=AttemptOutcome.SNOOZED).count()
    is_told = partners.busy > 0 and snoozes == partners.busy + partners.on_the_way
    return Check(
        what=f"{partners.busy} answers 429 of the carrier, each heeded without using up a try",
        wrong="" if is_told else f"{snoozes} snoozes of follow_parcel; {partners.on_the_way} parcels were on their way",
    )


def _drawing() -> Check:
    tries = Attempt.objects.filter(job__name__in=[render_invoice.name, resize_picture.name])
    spans = [(one.started_at, one.finished_at) for one in tries if one.started_at is not None]
    most = max((sum(1 for start, end in spans if start <= at < end) for at, _ in spans), default=0)
    return Check(
        what=f"{len(spans)} invoices and pictures drawn, never more than {most} at once; {TWO_DRAW.limit} are allowed",
        wrong="" if most <= TWO_DRAW.limit else "that is more than allowed",
    )


def _numbers() -> Check:
    numbers: dict[int, list[int]] = defaultdict(list)
    for customer, number in Invoice.objects.order_by("order").values_list("order__customer", "number"):
        numbers[customer].append(number)
    wrong = {pk: one for pk, one in numbers.items() if one != list(range(1, len(one) + 1))}
    return Check(
        what=f"the invoices of {len(numbers)} customers drawn one after another, in the order of their orders",
        wrong=f"by customer they are numbered {wrong}" if wrong else "",
    )
