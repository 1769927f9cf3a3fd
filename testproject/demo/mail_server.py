"""A real SMTP server that keeps every mail it is given."""

from __future__ import annotations

import asyncio
import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from threading import Lock
from typing import Any

from aiosmtpd.controller import Controller

from .ports import HOST, free_port

SECONDS_A_MAIL = 0.3
"""What a real server far away takes: the reason why a web request does not send mail itself."""


class MailServer:
    """Listens on ``port``; ``mails`` are those received so far, also saved as files that a mail program opens."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._mails: list[EmailMessage] = []
        self._lock = Lock()
        self._controller = Controller(self, hostname=HOST, port=self.port)

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
