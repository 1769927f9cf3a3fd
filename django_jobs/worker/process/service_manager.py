"""Notify the service manager by systemd's protocol (sd_notify(3)), if NOTIFY_SOCKET is set.

READY=1 once the worker is ready, WATCHDOG=1 while it is live, STOPPING=1 at the first signal, and a line of
STATUS. One datagram each; there is no answer. As long as the database cannot be used, the start may take longer
than TimeoutStartSec (EXTEND_TIMEOUT_USEC): a restart would not help.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable

from ...policy.health import Health

logger = logging.getLogger("django_jobs.worker")

CHECK_INTERVAL_SECONDS = 0.5
START_EXTENSION_SECONDS = 30
"""How long a start may go on after the last notification that the worker waits for its database."""


class ServiceManager:
    """Checks the health twice a second, or as often as the watchdog requires, in a thread of its own."""

    def __init__(self, judge: Callable[[], Health]) -> None:
        self._judge = judge
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._stopped = threading.Event()
        self._sent: set[str] = set()

    def start(self) -> None:
        """Start if there is a service manager."""
        if self._address:
            threading.Thread(target=self._watch, name="jobs-service-manager", daemon=True).start()

    def stopping(self) -> None:
        """Notify that the worker stops; watchdog notifications go on."""
        self._send_once("STOPPING=1\nSTATUS=Stopping: running jobs may end.")

    def close(self) -> None:
        """Send no more notifications."""
        self._stopped.set()

    def _watch(self) -> None:
        pause = min(CHECK_INTERVAL_SECONDS, _watchdog_seconds() / 2)
        while not self._stopped.wait(pause):
            try:
                self._notify()
            except Exception:
                # If it persists, the watchdog is not notified, and the service manager restarts the worker.
                logger.critical("the service manager could not be notified", exc_info=True)

    def _notify(self) -> None:
        health = self._judge()
        if not health.not_live:
            self._send("WATCHDOG=1")
        if health.waits_for:
            self._send(f"EXTEND_TIMEOUT_USEC={START_EXTENSION_SECONDS * 1_000_000}\nSTATUS=Waiting: {health.waits_for}")
        if not health.not_ready:
            status = f"Serving, but {'; '.join(health.degraded)}" if health.degraded else "Serving."
            self._send_once(f"READY=1\nSTATUS={status}")

    def _send_once(self, message: str) -> None:
        if self._address and message not in self._sent:
            self._sent.add(message)
            self._send(message)

    def _send(self, message: str) -> None:
        # "@" stands for the NUL that begins an abstract address.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as unix:
                unix.sendto(message.encode(), address)
        except OSError as error:
            logger.debug("the service manager at %s did not receive %r: %s", self._address, message, error)


def _watchdog_seconds() -> float:
    """Return the interval of the watchdog, infinity if there is none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not microseconds.isdecimal():
        return float("inf")
    return int(microseconds) / 1_000_000
