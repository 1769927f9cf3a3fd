"""Hand a mail to the backend that sends it, and learn which recipients the server did not take.

A server answers for each recipient. If it takes the mail for some, ``smtplib`` returns the refused ones and Django's
backend forgets them; here they are recorded, and sent to again by a job of their own.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp

from ...conf import get_settings
from ...exceptions import ConfigurationError, Discard, Retry
from .refusals import MailRefusedError, describe_refusal, is_final


def deliver(mail: EmailMessage, *, mailer: str | None, options: Mapping[str, Any]) -> list[str]:
    """Send a mail; return the recipients that the server did not take although it took the mail for others.

    ``mailer``: an alias of MAILERS; None: the setting MAIL["BACKEND"] with ``options``. Raises Discard for a final
    refusal, MailRefusedError for any other answer of the server, Retry if the backend says that it sent nothing.
    """
    backend = _open_backend(mailer, options)
    recipients = mail.recipients()
    try:
        backend.open()
        refused = _record_refused(backend)
        if backend.send_messages([mail]) == 0:
            raise Retry(reason=f"{_path(backend)} says that it sent no mail; is fail_silently among its options?")
    except smtplib.SMTPException as error:
        text = describe_refusal(error, recipients)
        if is_final(error):
            raise Discard(text) from None
        raise MailRefusedError(text) from None
    except ValueError as error:
        if isinstance(backend, smtp.EmailBackend):  # an address that no server is asked for
            raise Discard(describe_refusal(error, recipients)) from None
        raise
    finally:
        with suppress(Exception):  # the mail is sent, or the error is raised: how the connection ends changes neither
            backend.close()
    return refused


def _open_backend(mailer: str | None, options: Mapping[str, Any]) -> Any:
    if mailer is None:
        backend = django_mail.get_connection(get_settings().mail.backend, **options)
    else:
        backend = django_mail.mailers[mailer]
    if getattr(backend, "enqueues_mails", False):
        raise ConfigurationError(
            f"mail: the backend that sends is {_path(backend)}, which enqueues mails; name the one that delivers in"
            " DJANGO_JOBS['MAIL']['BACKEND'], or by 'using' among the OPTIONS of the mailer"
        )
    return backend


def _record_refused(backend: Any) -> list[str]:
    """Return a list that is filled with the recipients that the server refuses, if the backend speaks SMTP."""
    refused: list[str] = []
    connection = getattr(backend, "connection", None)
    if isinstance(connection, smtplib.SMTP):
        send = connection.sendmail

        def sendmail(*args: Any, **kwargs: Any) -> Any:
            answers = send(*args, **kwargs)
            refused.extend(answers)
            return answers

        connection.sendmail = sendmail  # type: ignore[method-assign]
    return refused


def only_to(mail: EmailMessage, recipients: Sequence[str]) -> None:
    """Have the mail delivered to these recipients only; its headers stay."""
    mail.recipients = lambda: list(recipients)  # type: ignore[method-assign]


def _path(backend: object) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"
