"""The shop as a Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Connects the receivers; ``jobs.py`` is found by django_jobs itself."""

    name = "testproject.shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the signal receivers."""
        from . import receivers  # noqa: F401 - connects them
