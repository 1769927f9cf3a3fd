"""A mail as the arguments of a job, and back.

The fields are stored, not the finished MIME text: the sending backend gets the same EmailMessage that the project made,
so backends that read its fields work too. ``Message-ID`` and ``Date`` are set here, once: each attempt sends the same.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterable, Mapping
from email.message import Message
from email.mime.base import MIMEBase
from email.utils import formatdate, make_msgid
from typing import Any, TypedDict

import django
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.utils import DNS_NAME
from django.utils.encoding import force_str

from ...exceptions import SerializationError

_OVERRIDABLE = ("message", "recipients")
_FIELDS = frozenset(
    {"subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers", "attachments", "alternatives"}
)
_CONNECTION = frozenset({"connection", "_connection"})
_OF_CLASSES = ("content_subtype", "mixed_subtype", "alternative_subtype", "encoding")
"""Attributes that a subclass may set for all its mails."""


class StoredMail(TypedDict):
    """The arguments of the job that sends a mail; ``attributes``: what a project or a backend added to the mail."""

    subject: str
    body: str
    from_email: str
    recipients: dict[str, list[str]]
    reply_to: list[str]
    headers: dict[str, str]
    attachments: list[dict[str, Any]]
    alternatives: list[dict[str, Any]]
    attributes: dict[str, Any]


class _StoredPart(MIMEBase):
    """A MIME part read back from bytes: Django 5.2 takes parts of this class only."""

    def __init__(self, policy: Any = email.policy.compat32) -> None:
        Message.__init__(self, policy=policy)


def to_arguments(mail: EmailMessage) -> StoredMail:
    """Return the arguments for a mail. Raises SerializationError for one that rows cannot carry.

    Raises what the mail itself raises when it is written, such as ValueError for a header of two lines: an error
    belongs to the code that made the mail, not to a worker.
    """
    _check_class(mail)
    mail.message()
    return StoredMail(
        subject=str(mail.subject),
        body=force_str(mail.body, encoding=mail.encoding or settings.DEFAULT_CHARSET, errors="surrogateescape"),
        from_email=str(mail.from_email),
        recipients={"to": _texts(mail.to), "cc": _texts(mail.cc), "bcc": _texts(mail.bcc)},
        reply_to=_texts(mail.reply_to),
        headers=_headers(mail.extra_headers),
        attachments=[_attachment(attachment) for attachment in mail.attachments],
        alternatives=[
            {"content": _content(content), "mimetype": str(mimetype)}
            for content, mimetype in getattr(mail, "alternatives", None) or ()
        ],
        attributes=_attributes(mail),
    )


def to_mail(stored: StoredMail) -> EmailMessage:
    """Return the mail that ``to_arguments`` was given, without its connection."""
    mail = EmailMultiAlternatives(
        subject=stored["subject"],
        body=stored["body"],
        from_email=stored["from_email"],
        headers=dict(stored["headers"]),
        reply_to=list(stored["reply_to"]),
        **{name: list(addresses) for name, addresses in stored["recipients"].items()},  # type: ignore[arg-type]
    )
    for alternative in stored["alternatives"]:
        mail.attach_alternative(alternative["content"], alternative["mimetype"])
    for attachment in stored["attachments"]:
        _attach(mail, attachment)
    for name, value in stored["attributes"].items():
        setattr(mail, name, value)
    return mail


def _attributes(mail: EmailMessage) -> dict[str, Any]:
    """Return what is set on a mail besides its fields, by itself or by its class: the worker's mail has neither."""
    of_class = {
        name: getattr(mail, name)
        for name in _OF_CLASSES
        if hasattr(mail, name) and getattr(mail, name) != getattr(EmailMultiAlternatives, name, None)
    }
    return {**of_class, **{name: value for name, value in vars(mail).items() if name not in _FIELDS | _CONNECTION}}


def _check_class(mail: EmailMessage) -> None:
    """Refuse a class that writes its mails in a way of its own: rows carry fields, never code."""
    kind = type(mail)
    for name in _OVERRIDABLE:
        written = next(base for base in kind.__mro__ if name in vars(base))
        if not written.__module__.startswith("django.core.mail"):
            raise SerializationError(
                f"mail: {kind.__module__}.{kind.__qualname__} has a {name}() of its own, which a worker would not call;"
                " send it by the mailer or backend that delivers, from a job of your own"
            )


def _texts(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


def _headers(given: Mapping[str, object]) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in given.items()}
    names = {name.lower() for name in headers}
    if "message-id" not in names:
        headers["Message-ID"] = make_msgid(domain=str(DNS_NAME))
    if "date" not in names:
        headers["Date"] = formatdate(localtime=settings.EMAIL_USE_LOCALTIME)
    return headers


def _content(content: object) -> str | bytes:
    if isinstance(content, EmailMessage):
        content = content.message()
    if isinstance(content, Message):
        return content.as_bytes()
    return str(content) if isinstance(content, str) else bytes(content)  # type: ignore[call-overload]


def _attachment(attachment: Any) -> dict[str, Any]:
    """Return an attachment as JSON: its three fields, or ``mime``, a finished part."""
    if isinstance(attachment, Message):
        return {"mime": attachment.as_bytes()}
    filename, content, mimetype = attachment
    return {"filename": filename and str(filename), "content": _content(content), "mimetype": mimetype}


def _attach(mail: EmailMessage, stored: Mapping[str, Any]) -> None:
    if "mime" not in stored:
        mail.attach(stored["filename"], stored["content"], stored["mimetype"])
    elif django.VERSION >= (6, 0):
        mail.attachments.append(email.message_from_bytes(stored["mime"], policy=email.policy.default))
    else:
        mail.attachments.append(email.message_from_bytes(stored["mime"], _class=_StoredPart))
