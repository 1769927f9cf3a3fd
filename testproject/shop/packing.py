"""The slip that tells who packs a parcel what to put in."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from .models import Order


def write_slip(order: Order) -> str:
    """Write an order's slip, over the one of an earlier run, and return the file's name below MEDIA_ROOT."""
    lines = order.lines.select_related("product").order_by("pk")
    name = f"packing/order-{order.pk:05}.txt"
    path = Path(settings.MEDIA_ROOT) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"{order} for {order.customer}, {order.customer.city}", *map(str, lines), ""]))
    return name
