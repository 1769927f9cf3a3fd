"""What the shop knows: customers, products and their pictures, orders and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from django.db import models
from django.db.models import Q

from django_jobs.models import Job


class Customer(models.Model):
    """Somebody who may order."""

    name = models.CharField(max_length=100)
    email = models.EmailField(unique=True)
    city = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """Something to be sold."""

    sku = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.name


class Picture(models.Model):
    """A product's picture. ``sizes`` maps a width in pixels to the name of that smaller file."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="pictures")
    original = models.ImageField(upload_to="pictures/originals")
    sizes = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return self.original.name or ""


def jobs_of(orders: Iterable[int]) -> models.QuerySet[Job]:
    """Return the jobs of these orders. A job that a message became has the number as its argument."""
    numbers = list(orders)
    return Job.objects.filter(Q(metadata__order__in=numbers) | Q(arguments__order_id__in=numbers)).order_by("pk")


class Order(models.Model):
    """What a customer ordered, once it is placed."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="orders")
    placed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"order {self.pk}"

    @property
    def total(self) -> Decimal:
        """The price of all lines."""
        return sum((line.price * line.quantity for line in self.lines.all()), Decimal(0))

    @property
    def jobs(self) -> models.QuerySet[Job]:
        """All background work for this order: each job carries the order's number, in metadata or arguments."""
        return jobs_of([self.pk])


class OrderLine(models.Model):
    """How many of one product, at the price of that day."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"


class Invoice(models.Model):
    """The PDF of an order, which of its customer's invoices it is, and whether it has been mailed."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    pdf = models.FileField(upload_to="invoices")
    sent_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"invoice of {self.order}"


class Shipment(models.Model):
    """A parcel that the carrier has accepted."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE)
    tracking_number = models.CharField(max_length=40)
    booked_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.tracking_number


class Payment(models.Model):
    """What a card is to be charged for an order."""

    class State(models.TextChoices):
        """Where the money is."""

        OPEN = "open"
        CHARGED = "charged"
        FAILED = "failed"

    order = models.OneToOneField(Order, on_delete=models.CASCADE)
    card = models.CharField(max_length=19)
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    receipt = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return f"payment of {self.order} ({self.state})"


class Account(models.Model):
    """A line of the books. Nothing but the balance tells whether a payment was booked once, twice or never."""

    name = models.CharField(max_length=40, primary_key=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.balance}"
