"""Keys of a job's pages: signed, so that nobody can guess them, or the plain job id for users with permission."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner

from ..conf import get_settings
from .problem_kinds import ProblemKind
from .problems import Problem

SALT = "django_jobs.status"
_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKey:
    """The part of a path that names a job: ``text`` as it was sent, and whether its signature was checked."""

    text: str
    job_id: int
    is_signed: bool


def sign_job_id(job_id: int) -> str:
    """Return a signed key; it is valid for the setting STATUS["URL_MAX_AGE"] from now on."""
    return TimestampSigner(salt=SALT).sign(str(job_id))


def parse_job_key(text: str) -> JobKey:
    """Return the job that a key names. Raises Problem if the signature is wrong or too old."""
    if text.isascii() and text.isdecimal():
        return JobKey(text=text, job_id=_parse_id(text), is_signed=False)
    max_age = get_settings().status.url_max_age
    try:
        signed = TimestampSigner(salt=SALT).unsign(text, max_age=max_age)
    except SignatureExpired:
        raise Problem(
            ProblemKind.ADDRESS_EXPIRED,
            f"this address is older than {max_age} (STATUS['URL_MAX_AGE']); start over",
        ) from None
    except BadSignature:
        raise Problem(
            ProblemKind.BAD_ADDRESS,
            "the signature does not match: the address is incomplete or was changed; use it as given in Location",
        ) from None
    return JobKey(text=text, job_id=_parse_id(signed), is_signed=True)


def _parse_id(text: str) -> int:
    # The length first: int() itself refuses thousands of digits.
    if len(text) > len(str(_MAX_ID)) or int(text) > _MAX_ID:
        raise Problem(ProblemKind.BAD_ADDRESS, "no job has so large an id")
    return int(text)
