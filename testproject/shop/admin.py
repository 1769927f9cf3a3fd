"""The shop's tables in the admin."""

from __future__ import annotations

from django.contrib import admin

from .models import Account, Customer, Invoice, Order, OrderLine, Payment, Picture, Product, Shipment

admin.site.register([Account, Customer, Invoice, OrderLine, Payment, Picture, Product, Shipment])


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Lists orders, the newest first."""

    list_display = ("id", "customer", "placed_at", "total")
    ordering = ("-id",)
