"""Mails as jobs: ``EMAIL_BACKEND = "django_jobs.contrib.mail.EmailBackend"``, or a mailer of Django 6.1's ``MAILERS``.

``backend``: takes the mails of the project and enqueues a job for each. ``arguments``: a mail as a job's arguments, and
back. ``jobs``: the built-in job. ``delivery``: it hands the mail to the backend that sends. ``refusals``: which answers
of a mail server are final.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backend import EmailBackend
    from .refusals import MailRefusedError

__all__ = ["EmailBackend", "MailRefusedError"]


def __getattr__(name: str) -> Any:
    """Import the backend when it is used: settings may name it before apps are ready."""
    if name == "EmailBackend":
        from .backend import EmailBackend

        return EmailBackend
    if name == "MailRefusedError":
        from .refusals import MailRefusedError

        return MailRefusedError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
