"""Keys of a job's pages: signed, so that nobody can guess them, or the plain job id for users with permission.

With one database of jobs the id is a number. With several it is database and number, such as ``eu:4711``; a number
alone, in an address of the time before, is that of a job in the first.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner

from ..conf import get_settings
from ..policy.job_ids import parse_job_id
from .problem_kinds import ProblemKind
from .problems import Problem

SALT = "django_jobs.status"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKey:
    """The part of a path that names a job: ``text`` as it was sent, and whether its signature was checked."""

    text: str
    database: str
    job_id: int
    is_signed: bool


def sign_job_id(public_id: int | str) -> str:
    """Return a signed key for the public id of a job; it is valid for the setting STATUS["URL_MAX_AGE"] from now on."""
    return TimestampSigner(salt=SALT).sign(str(public_id))


def parse_job_key(text: str) -> JobKey:
    """Return the job that a key names. Raises Problem if the signature is wrong or too old."""
    if (text.isascii() and text.isdecimal()) or parse_job_id(text, databases=get_settings().aliases) is not None:
        return _job_key(text, text, is_signed=False)
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
    return _job_key(text, signed, is_signed=True)


def _job_key(text: str, id_text: str, *, is_signed: bool) -> JobKey:
    settings = get_settings()
    found = parse_job_id(id_text, databases=settings.aliases)
    if found is None:
        raise Problem(ProblemKind.BAD_ADDRESS, "no job has so large an id, or jobs are in this database no more")
    return JobKey(text=text, database=found.database or settings.database, job_id=found.number, is_signed=is_signed)
