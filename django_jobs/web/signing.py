"""The addresses of a job: signed, so that nobody can guess them, or with its number for those with permission."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner
from django.urls import NoReverseMatch, reverse

from ..conf import get_settings
from ..exceptions import ConfigurationError
from ..models import Job
from ..policy.http_problems import ProblemKind
from .problems import Problem

SALT = "django_jobs.status"
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKey:
    """The part of an address that names a job: ``text`` as it stands there, and whether its signature was checked."""

    text: str
    job_id: int
    is_signed: bool


def status_url(job: Job) -> str:
    """Return the signed path of a job's status page: who has it may see the job and its result.

    Raises ConfigurationError where the project does not include ``django_jobs.urls``.
    """
    return reverse_url("status", sign_job_id(job.pk))


def sign_job_id(job_id: int) -> str:
    """Return the key of a signed address; it holds for the setting STATUS_MAX_AGE from now on."""
    return TimestampSigner(salt=SALT).sign(str(job_id))


def reverse_url(name: str, *args: str) -> str:
    """Return the path of one of our addresses, or raise ConfigurationError."""
    try:
        return reverse(f"django_jobs:{name}", args=args)
    except NoReverseMatch as error:
        raise ConfigurationError(
            "the addresses of jobs are not in the URLs of this project; add"
            ' path("jobs/", include("django_jobs.web.urls")) to urlpatterns'
        ) from error


def parse_job_key(text: str) -> JobKey:
    """Return the job that a key of an address names. Raises Problem where the key is broken or too old."""
    if text.isascii() and text.isdecimal():
        return JobKey(text=text, job_id=_parse_id(text), is_signed=False)
    try:
        signed = TimestampSigner(salt=SALT).unsign(text, max_age=get_settings().status_max_age)
    except SignatureExpired:
        raise Problem(
            ProblemKind.ADDRESS_EXPIRED,
            f"addresses of jobs hold for {get_settings().status_max_age}, and this one is older; start over",
        ) from None
    except BadSignature:
        raise Problem(
            ProblemKind.BAD_ADDRESS,
            "the signature does not fit: the address is incomplete or was changed; take it as it was given in Location",
        ) from None
    return JobKey(text=text, job_id=_parse_id(signed), is_signed=True)


def _parse_id(text: str) -> int:
    # Longer than any id first: int() itself refuses thousands of digits.
    if len(text) > len(str(_MAX_ID)) or int(text) > _MAX_ID:
        raise Problem(ProblemKind.BAD_ADDRESS, "no job has so large a number")
    return int(text)
