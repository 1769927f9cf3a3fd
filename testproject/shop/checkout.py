"""Place an order: rows and background work in one transaction, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F

from django_jobs import chain
from django_jobs.brokers import publish
from django_jobs.models import Job

from .jobs import ORDER_PLACED, announce_order, charge_card, render_invoice, send_invoice
from .models import Customer, Order, OrderLine, Payment, Product
from .tasks import write_packing_slip


class OutOfStock(Exception):
    """There is less of a product than was ordered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many of one product somebody wants."""

    product: Product
    quantity: int


def place_order(customer: Customer, wanted: Sequence[Wanted], *, card: str, request_id: str) -> tuple[Order, list[Job]]:
    """Save the order, enqueue its work and return both. Raises OutOfStock, with nothing saved or enqueued."""
    with transaction.atomic():
        order = Order.objects.create(customer=customer)
        OrderLine.objects.bulk_create(
            OrderLine(order=order, product=one.product, quantity=one.quantity, price=one.product.price)
            for one in wanted
        )
        payment = Payment.objects.create(order=order, card=card, amount=order.total)
        metadata = {"order": order.pk, "request_id": request_id}
        jobs = _enqueue_work(order, payment, metadata=metadata)
        # A Task is part of the transaction as well: there is no need for on_commit.
        write_packing_slip.using(metadata=metadata).enqueue(order.pk)
        # Last on purpose: where it fails, the jobs above are rolled back with everything else.
        _take_from_stock(wanted)
    return order, jobs


def _enqueue_work(order: Order, payment: Payment, *, metadata: dict[str, Any]) -> list[Job]:
    return [
        charge_card.using(metadata=metadata).enqueue(payment.pk),
        *chain(
            render_invoice.using(metadata=metadata).s(order.pk),
            send_invoice.using(metadata=metadata).s(order.pk).without_result(),
        ).enqueue(),
        # Shipping is told of the order, and is another's business: here that of ``jobs.book_shipment``.
        *publish("events", ORDER_PLACED, {"order_id": order.pk}, key=str(order.customer_id)),
        announce_order.using(metadata=metadata).enqueue(order.pk),
    ]


def _take_from_stock(wanted: Sequence[Wanted]) -> None:
    for one in wanted:
        enough = Product.objects.filter(pk=one.product.pk, stock__gte=one.quantity)
        if not enough.update(stock=F("stock") - one.quantity):
            raise OutOfStock(f"there are fewer than {one.quantity} of {one.product}")
