from __future__ import annotations

from django.apps import AppConfig


class MeteredConfig(AppConfig):
    name = "tests.metered"
