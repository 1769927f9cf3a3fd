"""The shop on RQ. ``queue`` is set by whoever runs it, as a project's settings would."""

from datetime import timedelta

from rq import Callback, Queue, Retry, get_current_job

from tests.moved.orders import done, note

queue: Queue = None


def confirm(order, language="en"):
    note("confirmed", (order, language))


def render_invoice(order):
    job = get_current_job()
    job.meta["pages"] = 2
    job.save_meta()
    return f"invoice-{order}.pdf"


def file_invoice(job, connection, result, *args, **kwargs):
    """The callback of ``render_invoice``."""
    note("filed", (result, job.meta["customer"]))


def reserve(order):
    note("reserved", order)


def ship(order):
    note("shipped", order)


def remind(order):
    note("reminded", order)


def pay(order):
    if ("payment failed", order) not in done:
        note("payment failed", order)
        raise ConnectionError(order)
    note("paid", order)


def place(order):
    queue.enqueue(confirm, order, language="de")
    queue.enqueue(
        render_invoice,
        order,
        job_timeout=60,
        result_ttl=3600,
        meta={"customer": "Ada"},
        on_success=Callback(file_invoice),
    )
    reserved = queue.enqueue(reserve, order)
    queue.enqueue(ship, order, depends_on=reserved)
    queue.enqueue(pay, order, retry=Retry(max=3))
    return queue.enqueue_in(timedelta(days=14), remind, order)
