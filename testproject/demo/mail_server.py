"""A real SMTP server that keeps every mail it is given."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
from email.message import EmailMessage
from pathlib import Path
from threading import Lock
from typing import Any

from aiosmtpd.controller import Controller

from .ports import HOST

SECONDS_A_MAIL = 0.3
"""What a real server far away takes: the reason why a web request does not send mail itself."""

SECONDS_TO_START = 30


class _AnyPort(Controller):  # type: ignore[misc]  # aiosmtpd is not typed
    """Listens on a port that the system chooses: no other process can take it in between."""

    def _trigger_server(self) -> None:
        """Connect once, which makes the server begin. aiosmtpd's own gives up after a second."""
        self.port = self.server.sockets[0].getsockname()[1]
        with socket.create_connection((self.hostname, self.port), SECONDS_TO_START) as client:
            client.recv(1024)


class MailServer:
    """Listens on ``port`` once it is started; ``mails`` are those received so far, also saved as files that a mail
    program opens.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mails: list[EmailMessage] = []
        self._lock = Lock()
        self._controller = _AnyPort(self, hostname=HOST, port=0, ready_timeout=SECONDS_TO_START)

    @property
    def port(self) -> int:
        return int(self._controller.port)

    @property
    def mails(self) -> list[EmailMessage]:
        with self._lock:
            return list(self._mails)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it
        """Take one mail."""
        await asyncio.sleep(SECONDS_A_MAIL)
        mail = email.message_from_bytes(envelope.content, EmailMessage, policy=email.policy.default)
        with self._lock:
            self._mails.append(mail)
            number = len(self._mails)
        (self._folder / f"{number:03}.eml").write_bytes(envelope.content)
        return "250 OK"
