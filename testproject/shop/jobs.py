"""The shop's background work: found by django_jobs because of this file's name.

A job may run more than once (its worker may be killed between the work and the note that it is done), so
each of these can be repeated: files are written over, rows updated or created, partners given a key, and what was
done is noted with ``once``. Only a mail may come twice, where a worker dies between its sending and that note.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.mail import EmailMessage, mail_admins, send_mail
from django.core.management import call_command
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from django_jobs import Discard, Snooze, chord, current_job, group, job, once, schedule
from django_jobs.backoff import Exponential
from django_jobs.batches import completed_batch
from django_jobs.brokers import consumes
from django_jobs.context import JobContext
from django_jobs.exceptions import RateLimited
from django_jobs.limits import CircuitBreaker, Concurrency, RateLimit
from django_jobs.models import Job
from django_jobs.uniqueness import Unique

from .contact_sheet import draw_contact_sheet
from .exporting import write_orders
from .invoicing import draw_invoice
from .models import Account, Customer, Invoice, Order, OrderLine, Payment, Picture, Shipment
from .partner import PartnerBusy, PartnerRefused, PartnerUnavailable, post_json
from .resizing import WIDTHS, resize
from .webhooks import post_to_all

ORDER_PLACED = "orders.placed"
"""What is told to whom it may concern; to RabbitMQ it is the name of a queue."""
BESTSELLERS = "bestsellers"
# Half a second to begin with: in a demo nobody wants to wait for the default's 5 s, 25 s, 125 s.
SOON = Exponential(first=timedelta(seconds=0.5), factor=2, maximum=timedelta(seconds=5))

# The carrier allows ten calls a second, whoever of us calls. After five failures it is left alone for a moment.
CARRIER_RATE = RateLimit(10, name="shop.carrier")
CARRIER_BREAKER = CircuitBreaker(
    failures=5, within=timedelta(seconds=10), open_for=timedelta(seconds=0.5), name="shop.carrier"
)
# Drawing keeps a processor busy: no more than two at once, on whichever host, so that requests stay fast.
TWO_DRAW = Concurrency(2, name="shop.drawing")


def _customer_of(order_id: int) -> int | None:
    return Order.objects.filter(pk=order_id).values_list("customer", flat=True).first()


@job(queue_name="emails", discard_on=Customer.DoesNotExist)
def send_welcome(customer_id: int) -> None:
    """Greet a new customer."""
    customer = Customer.objects.get(pk=customer_id)
    send_mail(f"Welcome, {customer.name}", "It is good to have you here.", None, [customer.email])


@job(
    name="shop.render_invoice",
    queue_name="documents",
    priority=10,
    discard_on=Order.DoesNotExist,
    timeout=timedelta(minutes=1),
    ordering_key=_customer_of,
    concurrency=TWO_DRAW,
)
def render_invoice(order_id: int) -> str:
    """Draw the invoice and return the file's name below MEDIA_ROOT; the mail waits for it.

    A customer's invoices are numbered 1, 2, 3: two of them must not be drawn at once, nor one before an earlier.
    """
    order = Order.objects.select_related("customer").get(pk=order_id)
    earlier = Invoice.objects.filter(order__customer=order.customer).exclude(order=order)
    with transaction.atomic():
        number = earlier.count() + 1
        invoice, is_new = Invoice.objects.get_or_create(order=order, defaults={"number": number})
        if is_new:
            invoice.pdf.save(f"invoice-{order.pk:05}.pdf", ContentFile(draw_invoice(order, number=number)))
    return str(invoice.pdf)


@job(queue_name="emails", discard_on=Invoice.DoesNotExist)
def send_invoice(order_id: int) -> None:
    """Mail the invoice."""
    invoice = Invoice.objects.select_related("order__customer").get(order=order_id)
    customer = invoice.order.customer
    mail = EmailMessage(f"Invoice {order_id:05}", "Your invoice is attached.", to=[customer.email])
    with invoice.pdf.open() as pdf:
        mail.attach(f"invoice-{order_id:05}.pdf", pdf.read(), "application/pdf")
    mail.send()
    Invoice.objects.filter(pk=invoice.pk).update(sent_at=timezone.now())


@job(queue_name="documents", takes_context=True, timeout=timedelta(minutes=5))
def export_orders(context: JobContext) -> dict[str, Any]:
    """Write all orders into a CSV file and return where it is: the result is what the person gets."""
    context.set_progress(0, None, "counting")
    url, orders = write_orders(f"orders-{context.job_id}", advance=context.set_progress)
    return {"url": url, "orders": orders}


@job(queue_name="pictures", unique=Unique())
def resize_pictures() -> int:
    """Have each picture resized that has no smaller sizes yet, all on one sheet then; return how many there are.

    Whoever clicks twice is given the job that waits already.
    """
    missing = list(Picture.objects.filter(sizes={}).order_by("pk").values_list("pk", flat=True))
    if missing:
        chord(group(resize_picture.s(pk) for pk in missing), make_contact_sheet.s()).enqueue()
    return len(missing)


@job(queue_name="pictures", takes_context=True, discard_on=Picture.DoesNotExist, concurrency=TWO_DRAW)
def resize_picture(context: JobContext, picture_id: int) -> list[str]:
    """Make every smaller size of one picture, and return the files' names."""
    picture = Picture.objects.get(pk=picture_id)
    context.set_progress(0, len(WIDTHS), "reading")
    for width, name in resize(str(picture.original)):
        picture.sizes[str(width)] = name
        context.set_progress(len(picture.sizes), len(WIDTHS), f"{width} pixels wide")
    picture.save(update_fields=["sizes"])
    return list(picture.sizes.values())


@job(queue_name="pictures")
def make_contact_sheet(sizes: list[list[str]]) -> str:
    """Put the smallest size of each picture on one sheet; what the group before it returned is passed on."""
    return draw_contact_sheet([names[-1] for names in sizes])


@job(
    queue_name="partners",
    backoff=SOON,
    retry_on=PartnerUnavailable,
    discard_on=Order.DoesNotExist,
    rate_limit=CARRIER_RATE,
    breaker=CARRIER_BREAKER,
)
@consumes("events", ORDER_PLACED)
def book_shipment(order_id: int) -> str:
    """Have the carrier fetch the parcel of an order that was placed, and return the tracking number."""
    order = Order.objects.select_related("customer").get(pk=order_id)
    try:
        answer = _ask_carrier("shipments", {"order": order.pk, "city": order.customer.city}, key=f"order-{order.pk}")
    except PartnerRefused as error:
        raise Discard(f"the carrier does not deliver to {order.customer.city}: {error}") from error
    with transaction.atomic():
        shipment, is_new = Shipment.objects.get_or_create(
            order=order, defaults={"tracking_number": answer["tracking_number"]}
        )
        if is_new:
            follow_parcel.using(metadata={"order": order.pk}).enqueue(order.pk)
    return shipment.tracking_number


@job(
    queue_name="partners",
    backoff=SOON,
    retry_on=PartnerUnavailable,
    discard_on=Shipment.DoesNotExist,
    rate_limit=CARRIER_RATE,
    breaker=CARRIER_BREAKER,
)
def follow_parcel(order_id: int) -> None:
    """Ask now and then whether the parcel has arrived; some time after it has, ask for a review."""
    shipment = Shipment.objects.select_related("order").get(order=order_id)
    number = shipment.tracking_number
    if not _ask_carrier("tracking", {"tracking_number": number}, key=number)["delivered"]:
        raise Snooze(timedelta(seconds=1))
    review = ask_for_review.using(metadata=current_job().metadata, run_after=settings.SHOP_REVIEW_AFTER, priority=-10)
    with transaction.atomic():
        on_its_way = Shipment.objects.filter(pk=shipment.pk, delivered_at=None)
        if on_its_way.update(delivered_at=timezone.now()):
            review.enqueue(shipment.order)


def _ask_carrier(what: str, payload: dict[str, Any], *, key: str) -> dict[str, Any]:
    """Ask the carrier; where it answers that it is asked too often, none of us asks before the time that it says."""
    try:
        return post_json(f"/carrier/{what}", payload, key=key)
    except PartnerBusy as error:
        raise RateLimited(error.retry_after) from error


@job(queue_name="partners", max_attempts=3, backoff=[0.4, 0.8])
def charge_card(payment_id: int) -> str:
    """Charge the card, have the payment booked, and return the bank's receipt."""
    payment = Payment.objects.get(pk=payment_id)
    answer = post_json(
        "/bank/charges",
        {"order": payment.order_id, "card": payment.card, "amount": str(payment.amount)},
        key=f"payment-{payment.pk}",
    )
    # In one transaction: either the payment is charged and will be booked, or this job runs again.
    with transaction.atomic():
        waiting = Payment.objects.filter(pk=payment.pk).exclude(state=Payment.State.CHARGED)
        if waiting.update(state=Payment.State.CHARGED, receipt=answer["receipt"]):
            book_payment.using(metadata=current_job().metadata).enqueue(payment.pk)
            enqueue_receipt(payment)
    return str(answer["receipt"])


def enqueue_receipt(payment: Payment) -> Job:
    """Have the receipt mailed; asked for again within a day, by whoever, it is the same job."""
    receipt = send_receipt.using(metadata={"order": payment.order_id}, idempotency_key=f"payment-{payment.pk}-receipt")
    return receipt.enqueue(payment.pk)


@job(queue_name="emails", discard_on=Payment.DoesNotExist)
def send_receipt(payment_id: int) -> str:
    """Mail the bank's receipt one time only, however often this runs, and return what it says."""
    payment = Payment.objects.select_related("order__customer").get(pk=payment_id)
    with once("receipt", payment.pk) as first:
        if first:
            customer = payment.order.customer
            send_mail(f"Receipt for {payment.order}", payment.receipt, None, [customer.email])
            first.store(payment.receipt)
    return str(first.stored)


@job(atomic=True)
def book_payment(payment_id: int) -> None:
    """Add a payment to the books, exactly once: the write and the end of this job commit together."""
    amount = Payment.objects.values_list("amount", flat=True).get(pk=payment_id)
    Account.objects.filter(name="sales").update(balance=F("balance") + amount)


@job(queue_name="announcements", backoff=SOON, discard_on=Order.DoesNotExist)
async def announce_order(order_id: int) -> int:
    """Tell all who want to know of orders, at the same time, and return how many were told."""
    order = await Order.objects.select_related("customer").aget(pk=order_id)
    return await post_to_all({"order": order.pk, "customer": order.customer.name})


@job(queue_name="emails", cron="0 8 * * mon-sat", timezone="Europe/Berlin", overlap="queue", schedulable=True)
def send_digest(hours: int = 24) -> int:
    """Mail the staff how many orders there were up to the tick, and return that number."""
    until = current_job().due_at or timezone.now()
    orders = Order.objects.filter(placed_at__gt=until - timedelta(hours=hours), placed_at__lte=until)
    number = orders.count()
    sales = orders.aggregate(sum=Sum("payment__amount"))["sum"] or 0
    mail_admins(f"Digest: {number} orders", f"{number} orders in {hours} hours, worth {sales}.")
    return number


@job(cron="H 3 * * *", timezone="Europe/Berlin")
def clean_up() -> None:
    """Delete what browsers have long forgotten, some time between 3 and 4 at night."""
    call_command("clearsessions")


@job(schedulable=True)
def warm_bestsellers(number: int) -> list[str]:
    """Have the names of the products that sold best in the cache before somebody asks."""
    sold = OrderLine.objects.values_list("product__name").annotate(sold=Sum("quantity"))
    names = [name for name, _ in sold.order_by("-sold", "product__name")[:number]]
    cache.set(BESTSELLERS, names, timeout=None)
    return names


schedule("shop.warm-bestsellers", warm_bestsellers, every=timedelta(seconds=5), args={"number": 3})


@job(queue_name="newsletter", priority=-20, discard_on=Customer.DoesNotExist)
def send_newsletter_mail(customer_id: int, subject: str) -> None:
    """Mail the newsletter to one customer."""
    customer = Customer.objects.get(pk=customer_id)
    send_mail(subject, f"Dear {customer.name}, there is news.", None, [customer.email])


@job(queue_name="newsletter")
def report_newsletter(subject: str) -> str:
    """Tell the staff how many mails went out: enqueued by the end of the batch, however it ended."""
    progress = completed_batch().progress()
    text = f"{progress.succeeded} of {progress.total} mails were sent, {progress.dead} could not be."
    mail_admins(f"Newsletter sent: {subject}", text)
    return text


@job(queue_name="emails", discard_on=Order.DoesNotExist)
def ask_for_review(order: Order) -> None:
    """Ask how the customer likes it. The order is carried by reference and read when the job runs."""
    customer = order.customer
    send_mail(f"How do you like {order}?", "Tell us, and tell others.", None, [customer.email])
