"""The built-in job that sends one mail; enqueued by the backend."""

from __future__ import annotations

import logging
from typing import Any, cast

from ...context import current_job
from ...definition import job
from ...log_records import job_fields

SEND_MAIL = "django_jobs.send_mail"

logger = logging.getLogger("django_jobs.mail")


@job(name=SEND_MAIL, redact=("body", "alternatives", "attachments", "attributes"))
def send_mail(
    subject: str,
    body: str,
    from_email: str,
    recipients: dict[str, list[str]],
    reply_to: list[str],
    headers: dict[str, str],
    attachments: list[dict[str, Any]],
    alternatives: list[dict[str, Any]],
    attributes: dict[str, Any],
    mailer: str | None = None,
    options: dict[str, Any] | None = None,
    remaining_recipients: list[str] | None = None,
) -> None:
    """Send a mail by the mailer, or by the setting MAIL["BACKEND"] with ``options``.

    ``remaining_recipients``: those that an earlier job has not reached; the others have the mail. A recipient that the
    server refused while it took the mail for others gets a job of its own.
    """
    from .arguments import StoredMail, to_mail
    from .delivery import deliver, only_to

    arguments = {
        "subject": subject,
        "body": body,
        "from_email": from_email,
        "recipients": recipients,
        "reply_to": reply_to,
        "headers": headers,
        "attachments": attachments,
        "alternatives": alternatives,
        "attributes": attributes,
    }
    mail = to_mail(cast("StoredMail", arguments))
    if remaining_recipients is not None:
        only_to(mail, remaining_recipients)
    refused = deliver(mail, mailer=mailer, options=options or {})
    if refused:
        _enqueue_for(refused, {**arguments, "mailer": mailer, "options": options})


def _enqueue_for(refused: list[str], arguments: dict[str, Any]) -> None:
    """Enqueue a job for the refused recipients: the mail must not go to the others again.

    Its key is this job's: if this one runs again because its end was not saved, there is no second one.
    """
    context = current_job()
    job = send_mail.using(
        queue_name=context.queue_name,
        priority=context.priority,
        max_attempts=context.max_attempts,
        idempotency_key=f"{SEND_MAIL}/{context.job_id}",
    ).enqueue(**arguments, remaining_recipients=refused)
    logger.warning(
        "recipients were refused (%d) while others got the mail; job %s is for them",
        len(refused),
        job.public_id,
        extra=job_fields(job),
    )
