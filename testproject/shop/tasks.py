"""A Task of Django's: code that knows no backend, as in a library. The setting TASKS makes it a job."""

from __future__ import annotations

try:
    from django.tasks import task
except ImportError:  # Django 5.2 has the backport instead
    from django_tasks import task

from .models import Order
from .packing import write_slip


@task(queue_name="documents")
def write_packing_slip(order_id: int) -> str:
    """Write what goes into the parcel, and return the file's name below MEDIA_ROOT."""
    return write_slip(Order.objects.select_related("customer").get(pk=order_id))
