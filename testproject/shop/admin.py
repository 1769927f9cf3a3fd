"""The shop's tables in the admin."""

from __future__ import annotations

from django.contrib import admin

from django_jobs.admin import JobsForObjectMixin

from .models import Account, Customer, Invoice, Order, OrderLine, Payment, Picture, Product, Shipment

admin.site.register([Account, Invoice, OrderLine, Payment, Picture, Product, Shipment])


@admin.register(Customer)
class CustomerAdmin(JobsForObjectMixin, admin.ModelAdmin):
    """Lists customers, each with the jobs that were given it."""

    list_display = ("name", "email", "city")
    search_fields = ("name", "email")


@admin.register(Order)
class OrderAdmin(JobsForObjectMixin, admin.ModelAdmin):
    """Lists orders, the newest first, each with the jobs that were given it or its number."""

    jobs_argument = "order_id"
    list_display = ("id", "customer", "placed_at", "total")
    ordering = ("-id",)
