from __future__ import annotations

from django.apps import AppConfig


class EcosystemConfig(AppConfig):
    name = "tests.ecosystem.app"
    label = "ecosystem"
    default_auto_field = "django.db.models.BigAutoField"
