from __future__ import annotations

from django.apps import AppConfig


class ChaosMessagesConfig(AppConfig):
    """Has relays and consumers of tests wait for short times, and send and receive everything twice."""

    name = "tests.chaos.messages"
    label = "chaos_messages"

    def ready(self) -> None:
        from . import doubling

        doubling.install()
