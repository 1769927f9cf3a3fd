"""Look whether everything that should have happened has: mails, files, partners' books, jobs and tries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.db.models import Q
from PIL import Image

from django_jobs.models import Attempt, DeadLetter, Job, Tick
from django_jobs.policy.outcomes import AttemptOutcome, DeathReason
from django_jobs.policy.schedule import TickOutcome
from django_jobs.policy.states import State
from testproject.shop.jobs import BESTSELLERS, ORDER_PLACED, book_shipment, charge_card, follow_parcel
from testproject.shop.models import Account, Customer, Invoice, Order, Payment, Picture, Shipment
from testproject.shop.resizing import WIDTHS
from testproject.shop.webhooks import LISTENERS

from .mail_server import MailServer
from .partners import BROKEN_ISSUER, UNREACHABLE_CITY, Partners
from .shopper import Shopper

ACTOR = "the demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: what holds, or what is wrong."""

    what: str
    wrong: str = ""

    @property
    def holds(self) -> bool:
        return not self.wrong


def look_at_all(
    *, mail_server: MailServer, partners: Partners, media: Path, orders: int, refused_request: str
) -> list[Check]:
    """Return all checks, in the order in which a person would ask."""
    return [
        _orders(orders, refused_request),
        *_mails(mail_server),
        _invoices(media, mail_server),
        _packing_slips(media),
        _pictures(media),
        _messages(),
        *_shipments(partners),
        _listeners(partners),
        *_payments(partners),
        _states(),
        _dead_letters(),
        _tries(),
        _ticks(),
    ]


def alerts_wanted() -> int:
    """Return of how many different errors the admins have to be told."""
    return DeadLetter.objects.values("fingerprint").distinct().count()


def alerts_received(mail_server: MailServer) -> int:
    """Return how many mails to the admins have come."""
    return sum("failed for good" in mail["Subject"] for mail in mail_server.mails)


def _orders(orders: int, refused_request: str) -> Check:
    what = f"{orders} orders accepted; one refused, and with it rolled back whatever it had enqueued"
    found = Order.objects.count()
    if found != orders:
        return Check(what=what, wrong=f"{found} orders are in the database")
    left = Job.objects.filter(metadata__request_id=refused_request).count()
    return Check(what=what, wrong=f"{left} jobs of the refused order exist" if left else "")


def _mails(mail_server: MailServer) -> Iterator[Check]:
    welcomes = [(one.email, f"Welcome, {one.name}") for one in Customer.objects.all()]
    orders = list(Order.objects.select_related("customer"))
    invoices = [(one.customer.email, f"Invoice {one.pk:05}") for one in orders]
    reviews = [
        (one.customer.email, f"How do you like order {one.pk}?")
        for one in orders
        if one.customer.city != UNREACHABLE_CITY
    ]
    receipts = [(one.customer.email, f"Receipt for {one}") for one in orders]
    came = Counter(
        (mail["To"], mail["Subject"])
        for mail in mail_server.mails
        if "failed for good" not in mail["Subject"] and "Digest" not in mail["Subject"]
    )
    wanted = Counter([*welcomes, *invoices, *receipts, *reviews])
    yield Check(
        what=f"{wanted.total()} mails came by SMTP, each once: {len(welcomes)} welcomes,"
        f" {len(invoices)} invoices, {len(receipts)} receipts, {len(reviews)} questions",
        wrong=_difference(wanted, came),
    )
    alerts, errors = alerts_received(mail_server), alerts_wanted()
    yield Check(
        what=f"{errors} mails told the admins of the dead letters, one an error",
        wrong="" if alerts == errors else f"{alerts} came",
    )


def _invoices(media: Path, mail_server: MailServer) -> Check:
    attached = {
        part.get_filename(): part.get_payload(decode=True)
        for mail in mail_server.mails
        for part in mail.iter_attachments()
    }
    invoices = list(Invoice.objects.select_related("order"))
    wrong = [
        f"order {order} has none"
        for order in sorted({*Order.objects.values_list("pk", flat=True)} - {one.order_id for one in invoices})
    ]
    for invoice in invoices:
        path = media / str(invoice.pdf)
        content = path.read_bytes() if path.is_file() else b""
        if not (content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")):
            wrong.append(f"{path} is no PDF")
        elif attached.get(f"invoice-{invoice.order_id:05}.pdf") != content:
            wrong.append(f"{path} is not what was mailed")
    return Check(what=f"{len(invoices)} invoices are PDF files, the same as those mailed", wrong=_some(wrong))


def _packing_slips(media: Path) -> Check:
    names = {f"order-{pk:05}.txt" for pk in Order.objects.values_list("pk", flat=True)}
    found = {path.name for path in (media / "packing").glob("*.txt") if path.read_text().count("\n") > 1}
    wrong = f"expected {_some(names)}, found {_some(found)}" if names != found else ""
    return Check(what=f"{len(names)} packing slips were written by a Task of Django's", wrong=wrong)


def _pictures(media: Path) -> Check:
    wrong = []
    pictures = list(Picture.objects.all())
    for picture in pictures:
        with Image.open(media / str(picture.original)) as original:
            shape = original.width / original.height
        if sorted(picture.sizes) != sorted(map(str, WIDTHS)):
            wrong.append(f"{picture} has the sizes {sorted(picture.sizes)}")
        for width, name in picture.sizes.items():
            with Image.open(media / name) as smaller:
                smaller.load()
                if smaller.size != (int(width), round(int(width) / shape)):
                    wrong.append(f"{name} is {smaller.width} x {smaller.height}")
    widths = ", ".join(map(str, WIDTHS))
    return Check(what=f"{len(pictures)} pictures are there in {widths} pixels", wrong=_some(wrong))


def _messages() -> Check:
    jobs = Job.objects.filter(name=book_shipment.name, metadata__message__name=ORDER_PLACED)
    came = Counter(jobs.values_list("arguments__order_id", flat=True))
    return Check(
        what=f"{came.total()} orders were told by a message, and each message became the job that ships it",
        wrong=_difference(Counter(Order.objects.values_list("pk", flat=True)), came),
    )


def _shipments(partners: Partners) -> Iterator[Check]:
    orders = set(Order.objects.exclude(customer__city=UNREACHABLE_CITY).values_list("pk", flat=True))
    carried = sorted(parcel["order"] for parcel in partners.parcels.values())
    booked = sorted(Shipment.objects.values_list("order", flat=True))
    yield Check(
        what=f"{len(orders)} parcels booked with the carrier, each once",
        wrong=""
        if carried == booked == sorted(orders)
        else f"the carrier has {carried}, the shop {booked}, expected were {sorted(orders)}",
    )
    wrong = []
    retried = 0
    for job in Job.objects.filter(name=book_shipment.name, state=State.SUCCEEDED):
        refusals = partners.unavailable[job.arguments["order_id"]]
        outcomes = list(job.attempts.order_by("claim_number").values_list("outcome", flat=True))
        retried += bool(refusals)
        if outcomes != [AttemptOutcome.FAILED] * refusals + [AttemptOutcome.SUCCEEDED]:
            wrong.append(f"job {job.pk} was refused {refusals} times, its tries are {outcomes}")
    if not retried:
        wrong.append("no booking had to be retried")
    yield Check(
        what=f"{retried} bookings were retried: one failed try for each of the carrier's"
        f" {partners.unavailable.total()} answers 503",
        wrong=_some(wrong),
    )


def _listeners(partners: Partners) -> Check:
    orders = Order.objects.values_list("pk", flat=True)
    wanted = Counter((listener, order) for listener in LISTENERS for order in orders)
    return Check(
        what=f"{len(LISTENERS)} listeners heard of every order, each once",
        wrong=_difference(wanted, partners.heard),
    )


def _payments(partners: Partners) -> Iterator[Check]:
    payments = Payment.objects.all()
    charged = {charge["receipt"]: charge["amount"] for charge in partners.charges.values()}
    known = {one.receipt: str(one.amount) for one in payments if one.state == Payment.State.CHARGED}
    wrong = "" if charged == known and len(known) == len(payments) else f"bank: {charged}, shop: {known}"
    yield Check(what=f"{len(payments)} cards charged, each once", wrong=wrong)
    balance = Account.objects.get(name="sales").balance
    total = sum((one.amount for one in payments), Decimal(0))
    yield Check(
        what=f"the books show the sum of all payments, {total}",
        wrong="" if balance == total else f"they show {balance}",
    )


def _states() -> Check:
    # A schedule may have fired at this moment; of its jobs the ticks tell.
    jobs = Job.objects.exclude(pk__in=Tick.objects.filter(job__isnull=False).values("job"))
    states = Counter(jobs.values_list("state", flat=True))
    dead = Order.objects.filter(customer__city=UNREACHABLE_CITY).count()
    wanted = Counter({State.SUCCEEDED.value: states.total() - dead, State.DEAD.value: dead})
    return Check(
        what=f"{states.total()} jobs ended: {states[State.SUCCEEDED]} succeeded, {dead} dead (parcels that no one"
        " can deliver)",
        wrong=_difference(wanted, states),
    )


def _dead_letters() -> Check:
    undeliverable = Order.objects.filter(customer__city=UNREACHABLE_CITY).count()
    unlucky = Payment.objects.filter(card__startswith=BROKEN_ISSUER).count()
    wanted = Counter(
        {
            (book_shipment.name, DeathReason.DISCARDED.value, "open", ""): undeliverable,
            (charge_card.name, DeathReason.ATTEMPTS_USED_UP.value, "redriven", ACTOR): unlucky,
        }
    )
    letters = DeadLetter.objects.values_list("job_name", "reason", "status", "resolved_by")
    return Check(
        what=f"{wanted.total()} dead letters: {unlucky} redriven by {ACTOR}, {undeliverable} still open",
        wrong=_difference(wanted, Counter(letters)),
    )


def _tries() -> Check:
    """Look for tries that nobody planned, such as one lost with its worker or one that failed by a bug."""
    foreseen = Q(outcome=AttemptOutcome.SUCCEEDED)
    foreseen |= Q(outcome=AttemptOutcome.DISCARDED, job__name=book_shipment.name)
    foreseen |= Q(outcome=AttemptOutcome.FAILED, job__name__in=[book_shipment.name, charge_card.name])
    foreseen |= Q(outcome=AttemptOutcome.SNOOZED, job__name=follow_parcel.name)
    wrong = [
        f"{one.job.name} {one.job_id}: {one.outcome} {one.error or ''}"
        for one in Attempt.objects.exclude(foreseen).select_related("job")
    ]
    snoozes = Attempt.objects.filter(outcome=AttemptOutcome.SNOOZED).count()
    if not snoozes:
        wrong.append("no job has snoozed")
    return Check(
        what=f"{Attempt.objects.count()} tries recorded, {snoozes} of them snoozes; none lost, none unforeseen",
        wrong=_some(wrong),
    )


def _ticks() -> Check:
    """Look whether the cache was warmed on schedule, each tick by one job."""
    ticks = list(Tick.objects.filter(outcome=TickOutcome.FIRED))  # read once: meanwhile a schedule may fire
    jobs = {tick.job_id for tick in ticks}
    wrong = "" if cache.get(BESTSELLERS) else "there are no bestsellers in the cache"
    if len(jobs) != len(ticks):
        wrong = f"{len(ticks)} ticks fired {len(jobs)} jobs"
    late = max((tick.late_by.total_seconds() for tick in ticks), default=0)
    return Check(what=f"{len(ticks)} ticks of schedules fired a job each, at most {late:.3f} s late", wrong=wrong)


def look_at_export(shopper: Shopper, media: Path) -> Check:
    """Look whether who had all orders exported got the file, by nothing but what 202 Accepted had said."""
    what = "an export was accepted, followed by long polls to its end, and its file fetched"
    status = shopper.get(f"{shopper.export_orders().body['links']['status']}?wait=20")
    if status["state"] != State.SUCCEEDED:
        return Check(what=what, wrong=f"the job is {status['state']}: {status.get('detail', '')}")
    result = shopper.get(status["result"])["result"]
    file = media / result["url"].removeprefix("/media/")
    lines = len(file.read_text().splitlines()) if file.is_file() else 0
    wrong = "" if lines == Order.objects.count() + 1 else f"{file} has {lines} lines"
    return Check(what=what, wrong=wrong)


def _difference(wanted: Counter[Any], found: Counter[Any]) -> str:
    missing, surplus = wanted - found, found - wanted
    parts = []
    if missing:
        parts.append(f"missing: {_some(f'{number} x {what}' for what, number in missing.items())}")
    if surplus:
        parts.append(f"too many: {_some(f'{number} x {what}' for what, number in surplus.items())}")
    return "; ".join(parts)


def _some(wrong: Iterable[str], most: int = 5) -> str:
    found = list(wrong)
    rest = f" and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(found[:most]) + rest
