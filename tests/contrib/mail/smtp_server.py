"""A real SMTP server that answers as a test tells it, and keeps what it was sent."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from testproject.demo.mail_server import MailServer


@dataclass
class Received:
    """One mail that the server took: its envelope and its content."""

    sender: str
    recipients: list[str]
    mail: EmailMessage


@dataclass
class Answers:
    """What the server says next: to each recipient by its address, and to each mail; each list from its start."""

    to_recipient: dict[str, list[str]] = field(default_factory=dict)
    to_mail: list[str] = field(default_factory=list)


class ScriptedServer(MailServer):
    """Takes every mail unless ``answers`` says otherwise."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.forget()

    def forget(self) -> None:
        """Begin again, for the next test."""
        self.received: list[Received] = []
        self.answers = Answers()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Answer to one recipient."""
        answers = self.answers.to_recipient.get(address)
        if answers:
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it
        """Answer to a mail, and keep it if it is taken."""
        answer = self.answers.to_mail.pop(0) if self.answers.to_mail else "250 OK"
        if answer.startswith("250"):
            mail = email.message_from_bytes(envelope.content, EmailMessage, policy=email.policy.default)
            self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), mail))
        return answer
