"""Mail new errors of dead letters to the admins; if the mail server refuses, try again later."""

from __future__ import annotations

import logging
import time

from django.core.mail import mail_admins
from django.urls import NoReverseMatch, reverse

from ...conf.database import public_id
from ...conf.page_settings import AlertSettings
from ...log_records import record_fields
from ...models import DeadLetter
from ...policy.error_text import class_text, error_text
from ...policy.plurals import counted
from ...policy.printable import printable, printable_lines
from ...store.dead_letters.alerts import Alert, Resolution, release_alerts, take_alerts

logger = logging.getLogger("django_jobs.worker")

RETRY_SECONDS = 300.0
"""Delay of the next mail of this process if one could not be sent."""


class AlertMails:
    """``step`` mails what nobody was told of. Each error is taken by one worker; what it cannot mail it releases."""

    def __init__(self, settings: AlertSettings, using: str) -> None:
        self._settings = settings
        self._using = using
        self._next_at = time.monotonic()

    def step(self) -> None:
        """Mail the admins, if a setting says so. One statement, as a rule."""
        if not self._settings.mail_admins or time.monotonic() < self._next_at:
            return
        alerts = take_alerts(period=self._settings.mail_admins_period, using=self._using)
        if unsent := [alert.dead_letter.fingerprint for alert in alerts if not self._mail(alert)]:
            self._next_at = time.monotonic() + RETRY_SECONDS
            release_alerts(unsent, using=self._using)

    def _mail(self, alert: Alert) -> bool:
        dead_letter = alert.dead_letter
        try:
            error = class_text(dead_letter.error_class) or dead_letter.reason
            event = "failed for good" if alert.resolution is None else "came back"
            subject = f"{dead_letter.job_name} {event}: {error}"
            mail_admins(printable(subject)[:200], printable_lines(self._text(alert)))
        except Exception:  # mail may fail in many ways; the dead letter stays open in the admin
            logger.exception(
                "the admins could not be mailed about dead letter %s; trying again in %d s",
                dead_letter.pk,
                RETRY_SECONDS,
                extra=record_fields(
                    job_id=dead_letter.job_id,
                    job_name=dead_letter.job_name,
                    queue_name=dead_letter.queue_name,
                    attempt=dead_letter.attempt,
                ),
            )
            return False
        return True

    def _text(self, alert: Alert) -> str:
        dead_letter = alert.dead_letter
        died_at = f"{dead_letter.died_at:%Y-%m-%d %H:%M:%S %Z}"
        lines = [
            *_resolution_lines(alert.resolution),
            f"{dead_letter.job_name} (queue {dead_letter.queue_name}) became a dead letter: {dead_letter.reason}.",
            f"Job {_job_of(dead_letter)}, after {counted(dead_letter.attempt, 'attempt')}, at {died_at}.",
            f"Dead letters with this error lately: {alert.number}.",
            _admin_link(dead_letter, self._settings.base_url),
            "",
            error_text(dead_letter.error_class, dead_letter.error_message),
            "",
            dead_letter.traceback,
        ]
        return "\n".join(lines)


def _resolution_lines(resolution: Resolution | None) -> list[str]:
    """Say that the error had been resolved, and when."""
    if resolution is None:
        return []
    by = f" by {resolution.by}" if resolution.by else ""
    return [f"This error was resolved{by} at {resolution.at:%Y-%m-%d %H:%M:%S %Z}, and came back."]


def _job_of(dead_letter: DeadLetter) -> int | str | None:
    return None if dead_letter.job_id is None else public_id(dead_letter.job_id)


def _admin_link(dead_letter: DeadLetter, base_url: str | None) -> str:
    try:
        path = reverse("admin:django_jobs_deadletter_change", args=[dead_letter.pk])
    except NoReverseMatch:
        return f"manage.py jobs retry {_job_of(dead_letter)} runs it again."
    return f"In the admin: {base_url or ''}{path}"
