"""The shop on django_jobs."""

from datetime import timedelta

from django_jobs import current_job, job
from tests.moved.orders import done, note


@job
def confirm(order, language="en"):
    note("confirmed", (order, language))


@job(timeout=60, result_ttl=3600)
def render_invoice(order):
    context = current_job()
    context.metadata["pages"] = 2
    context.save_metadata()
    invoice = f"invoice-{order}.pdf"
    file_invoice.enqueue(invoice, context.metadata["customer"])
    return invoice


@job
def file_invoice(invoice, customer):
    note("filed", (invoice, customer))


@job
def reserve(order):
    note("reserved", order)


@job
def ship(order):
    note("shipped", order)


@job
def remind(order):
    note("reminded", order)


@job(max_attempts=4, backoff=[0])
def pay(order):
    if ("payment failed", order) not in done:
        note("payment failed", order)
        raise ConnectionError(order)
    note("paid", order)


def place(order):
    confirm.enqueue(order, language="de")
    render_invoice.using(metadata={"customer": "Ada"}).enqueue(order)
    reserved = reserve.enqueue(order)
    ship.after(reserved).enqueue(order)
    pay.enqueue(order)
    return remind.using(run_after=timedelta(days=14)).enqueue(order)
