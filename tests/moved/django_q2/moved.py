"""The shop on django_jobs."""

from django_jobs import chain, chord, job, schedule
from django_jobs.models import Job
from tests.moved.orders import note


@job
def confirm(order, language="en"):
    note("confirmed", (order, language))


@job(timeout=60)
def render_invoice(order):
    return f"invoice-{order}.pdf"


@job
def file_invoice(invoice):
    note("filed", invoice)


@job
def reserve(order):
    note("reserved", order)


@job
def ship(order):
    note("shipped", order)


@job
def weigh(parcel):
    return parcel * 10


@job
def add_up(weights):
    return sum(weights)


@job
def report(day, kind="short"):
    note("report", (day, kind))


def place(order):
    confirm.enqueue(order, language="de")
    chain(render_invoice.s(order), file_invoice.s()).enqueue()
    chain(reserve.s(order), ship.s(order).without_result()).enqueue()


def weigh_all(parcels):
    return chord([weigh.s(parcel) for parcel in parcels], add_up.s()).enqueue()[-1].pk


def total(weighed):
    return Job.objects.get(pk=weighed).result


schedule("morning", report, cron="0 6 * * 1-5", args={"day": "today", "kind": "long"})
schedule("often", report, every=600, args={"day": "now"})
