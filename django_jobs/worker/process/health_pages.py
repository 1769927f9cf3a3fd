"""Pages that other packages add to the health port: registered while apps get ready, opened by the supervisor."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Protocol


class HealthPage(Protocol):
    """A page of one ``runworker``. ``path`` begins with a slash; ``title`` names it in the startup message."""

    path: str
    title: str

    def open(self) -> None:
        """Prepare this process and those that it will start; before the first of them, and before any thread.

        Raises ConfigurationError to refuse the start.
        """

    def start(self) -> None:
        """Start the threads that it needs, after the first fork."""

    def close(self) -> None:
        """Remove what ``open`` has made; all other processes have ended."""

    def render(self) -> tuple[bytes, str]:
        """Return the body and its content type; called in a thread of its own for each request."""


health_pages: list[HealthPage] = []
"""Pages that every ``runworker --health-port`` of this project has."""


def open_health_pages(closing: ExitStack) -> list[HealthPage]:
    """Open all pages, and have them closed by ``closing``."""
    for page in health_pages:
        page.open()
        closing.callback(page.close)
    return list(health_pages)
