"""URLs of the shop."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "shop"
urlpatterns = [
    path("", views.home, name="home"),
    path("orders/", views.create_order, name="orders"),
    path("orders/<int:order_id>/", views.show_order, name="order"),
    path("orders/<int:order_id>/receipt/", views.ask_for_receipt, name="receipt"),
    path("export/", views.export, name="export"),
    path("newsletters/", views.create_newsletter, name="newsletters"),
    path("newsletters/<int:batch_id>/", views.show_newsletter, name="newsletter"),
    path("pictures/resize/", views.resize_all, name="resize"),
]
