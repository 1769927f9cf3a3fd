"""The shop on django-q2."""

from django_q.models import Schedule
from django_q.tasks import async_chain, async_iter, async_task, result, schedule

from tests.moved.orders import note

HERE = __name__


def confirm(order, language="en"):
    note("confirmed", (order, language))


def render_invoice(order):
    return f"invoice-{order}.pdf"


def file_invoice(task):
    """The hook of ``render_invoice``."""
    if task.success:
        note("filed", task.result)


def reserve(order):
    note("reserved", order)


def ship(order):
    note("shipped", order)


def weigh(parcel):
    return parcel * 10


def report(day, kind="short"):
    note("report", (day, kind))


def place(order):
    async_task(f"{HERE}.confirm", order, language="de")
    async_task(render_invoice, order, hook=f"{HERE}.file_invoice", group=f"order-{order}", timeout=60)
    async_chain([(reserve, (order,)), (ship, (order,))])


def weigh_all(parcels):
    return async_iter(weigh, parcels)


def total(weighed):
    return sum(result(weighed))


def install_schedules():
    schedule(f"{HERE}.report", "today", kind="long", name="morning", schedule_type=Schedule.CRON, cron="0 6 * * 1-5")
    schedule(f"{HERE}.report", "now", name="often", schedule_type=Schedule.MINUTES, minutes=10)
