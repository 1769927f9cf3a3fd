"""Settings of what others get from jobs: ``STATUS``, ``ALERTS``, ``MAIL`` and ``METRICS``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from . import readers
from .fields import setting
from .readers import AccessCheck, optional


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Status pages over HTTP: who may see a job, and how long clients wait. See [HTTP](web.md)."""

    access_check: AccessCheck | str | None = setting(
        None,
        read=readers.as_access_check,
        doc="a function of `(request, job)`, or its dotted path: who may see a job and its result without a signed"
        " address, besides users with `django_jobs.view_job`",
    )
    url_max_age: timedelta | None = setting(
        None,
        read=optional(readers.as_duration),
        doc="how long a signed address is valid; `None`: as long as the job exists",
    )
    max_wait: timedelta = setting(
        timedelta(seconds=30),
        read=readers.as_duration_from_zero,
        doc="the longest `?wait=`; shorter than the time limits of your web server and proxy",
    )
    poll_interval: timedelta = setting(
        timedelta(seconds=0.5),
        read=readers.as_duration,
        doc="how often a web process checks for changes on behalf of all clients that wait in it: one statement,"
        " none while nobody waits",
    )
    max_waiters: int = setting(
        1_000,
        read=readers.as_count_from_zero,
        doc="how many clients may wait in one ASGI process; above that long polls are answered at once and event"
        " streams with 503",
    )
    max_waiters_wsgi: int = setting(
        4,
        read=readers.as_count_from_zero,
        doc="the same in one WSGI process, in which each waiting client holds a thread: well below its number of"
        " threads, `0` if it has one",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """Mail to ``ADMINS`` about new dead letters."""

    mail_admins: bool = setting(
        False,
        read=readers.as_bool,
        doc="mail `ADMINS` about new dead letters, once per error and period",
    )
    mail_admins_period: timedelta = setting(timedelta(days=1), read=readers.as_duration, doc="that period")
    base_url: str | None = setting(
        None,
        read=readers.as_base_url,
        doc='where the admin is served, such as `"https://shop.example"`: links in these mails begin with it',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Mails as jobs, by ``EMAIL_BACKEND`` or a mailer: see [mails](../how-to/mail.md)."""

    backend: str = setting(
        "django.core.mail.backends.smtp.EmailBackend",
        read=readers.as_mail_backend,
        doc="the backend by which workers send, by its dotted path; with `MAILERS` the mailer's option `using` instead",
    )
    queue_name: str | None = setting(
        None, read=optional(readers.as_queue_name), doc="the queue of mails; `None`: that of `JOB_DEFAULTS`"
    )
    max_attempts: int = setting(
        10,
        read=readers.as_max_attempts,
        doc="attempts for a mail; with the default backoff the tenth is about 23 hours after the first",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Metrics for monitoring. See [monitoring](../how-to/monitoring.md)."""

    prometheus: bool = setting(
        False,
        read=readers.as_bool,
        doc="serve `/metrics` for Prometheus at `runworker --health-port`, and count runs there; it needs the extra"
        " `[prometheus]`",
    )
