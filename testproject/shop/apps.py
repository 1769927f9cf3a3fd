"""The shop as a Django app."""

from __future__ import annotations

import os
from pathlib import Path

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Connects the receivers; ``jobs.py`` is found by django_jobs itself."""

    name = "testproject.shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the signal receivers, and trace to the file that SHOP_TRACES names, if it does."""
        from . import receivers  # noqa: F401 - connects them

        if path := os.environ.get("SHOP_TRACES"):
            from .tracing import trace_to

            trace_to(Path(path))
