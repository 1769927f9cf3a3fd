"""The e-mail backend that enqueues a job for each mail, in the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.core import mail as django_mail
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError

from ...conf import get_settings
from ...exceptions import ConfigurationError, JobsError, PayloadTooLargeError
from ...options import UsingOptions, check_option_names, check_using
from ...store.transactions import savepoint
from .arguments import StoredMail, to_arguments
from .jobs import SEND_MAIL, send_mail

PATH = "django_jobs.contrib.mail.EmailBackend"

logger = logging.getLogger("django_jobs.mail")


class EmailBackend(BaseEmailBackend):
    """Enqueues a job for each mail; a worker sends it by another backend, and again until the server takes it.

    As EMAIL_BACKEND: the setting ``MAIL`` names the sending backend, which gets the options given to
    ``get_connection``. As a mailer of MAILERS: ``OPTIONS`` has ``using``, the alias of the mailer that sends, and may
    have options of ``using(...)``, such as ``queue_name``.

    ``fail_silently``: a mail that cannot be enqueued is logged, and nothing is raised. What happens to the job later
    does not depend on it.
    """

    enqueues_mails = True

    def __init__(self, fail_silently: bool = False, *, alias: str | None = None, **options: Any) -> None:
        super().__init__(alias=alias)
        self.fail_silently = fail_silently
        overrides = options.pop("_ignore_unknown_kwargs", ())
        if alias is None:
            self._mailer: str | None = None
            self._options, self._enqueue_options = options, UsingOptions()
        else:
            _check_overrides(alias, set(overrides) & set(options))
            self._mailer = _as_mailer(alias, options.pop("using", None))
            self._options, self._enqueue_options = {}, _as_enqueue_options(alias, options)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Enqueue a job for each mail that has recipients, all or none; return their number.

        Raises SerializationError for a mail that rows cannot carry, and PayloadTooLargeError.
        """
        mails = [mail for mail in email_messages if mail.recipients()]
        if not mails:
            return 0
        if not self.fail_silently:
            self._enqueue(mails)
            return len(mails)
        try:
            with savepoint():
                self._enqueue(mails)
        except (JobsError, DatabaseError, ValueError) as error:
            # what Django raises for a header repeats it, and with it a recipient or the subject
            reason = error if isinstance(error, JobsError) else type(error).__name__
            logger.warning("mails are lost (%d), because they could not be enqueued: %s", len(mails), reason)
            return 0
        return len(mails)

    def _enqueue(self, mails: Sequence[EmailMessage]) -> None:
        settings = get_settings().mail
        options: UsingOptions = {
            "queue_name": settings.queue_name,
            "max_attempts": settings.max_attempts,
            **self._enqueue_options,
        }
        stored = [to_arguments(mail) for mail in mails]
        way = {"mailer": self._mailer, "options": self._options or None}
        try:
            send_mail.using(**options).enqueue_many([{**arguments, **way} for arguments in stored])
        except PayloadTooLargeError as error:
            raise PayloadTooLargeError(f"{error}{_describe_attachments(stored)}") from None


def _check_overrides(alias: str, names: set[str]) -> None:
    """Refuse the login of one call: what the sending mailer does not get would be ignored."""
    if names:
        raise ConfigurationError(
            f"MAILERS[{alias!r}]: {', '.join(sorted(names))} cannot be given for one mail; make a mailer with these"
            " OPTIONS, and one of django_jobs that is 'using' it"
        )


def _as_mailer(alias: str, using: object) -> str:
    mailers: Mapping[str, Mapping[str, Any]] = django_mail.mailers.settings
    others = sorted(name for name, config in mailers.items() if config.get("BACKEND") != PATH)
    if isinstance(using, str) and using in others:
        return using
    raise ConfigurationError(
        f"MAILERS[{alias!r}]['OPTIONS']['using']: expected the alias of the mailer that sends"
        f" ({', '.join(others) or 'there is none yet'}), got {using!r}"
    )


def _as_enqueue_options(alias: str, options: dict[str, Any]) -> UsingOptions:
    label = f"MAILERS[{alias!r}]['OPTIONS']"
    check_option_names(label, options, UsingOptions, more=("using", "fail_silently"))
    return check_using(SEND_MAIL, options)  # type: ignore[arg-type]


def _describe_attachments(stored: Sequence[StoredMail]) -> str:
    sizes = [
        f"{attachment.get('filename') or 'a MIME part'} ({len(attachment.get('content', attachment.get('mime', '')))})"
        for arguments in stored
        for attachment in arguments["attachments"]
    ]
    return f". Attachments and their sizes, before base64 adds a third: {', '.join(sizes)}" if sizes else ""
