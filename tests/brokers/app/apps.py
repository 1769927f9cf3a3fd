from __future__ import annotations

from django.apps import AppConfig

from tests.brokers import fake

fake.register()


class ConsumingConfig(AppConfig):
    name = "tests.brokers.app"
    label = "consuming"
