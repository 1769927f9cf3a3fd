"""Ids of results: the text of a UUID of version 8 that carries the job's primary key, encrypted and signed.

::

    122 bits of the UUID = (primary key XOR mask) 64 bits | tag 58 bits
    tag  = digest of the primary key and the database      mask = digest of the tag

With one database of jobs the tag is of the primary key alone. With several it is of the alias too; an id without one,
of the time before, is that of a job in the first.

An id that this project has not made is refused without a statement: the tag does not fit. Ids of neighbouring jobs have
nothing in common, so that nobody can count jobs by them. The key is derived from SECRET_KEY by ``salted_hmac``; ids
made under SECRET_KEY_FALLBACKS stay valid.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from ...conf import get_settings
from ...conf.database import current_database
from ...policy.job_ids import JobId

_SALT = "django_jobs.contrib.tasks.ids"
_TAG_BITS = 58
_MAX_JOB_ID = 2**63 - 1


def result_id(job_id: int, *, database: str | None = None) -> str:
    """Return the id of the result of a job; ``database``: by default the one that this code acts on."""
    named = (database or current_database()) if get_settings().has_many_databases else None
    return _result_id(_key(settings.SECRET_KEY), JobId(named, job_id))


@lru_cache(maxsize=1_024)
def _result_id(key: bytes, job_id: JobId) -> str:
    """Return an id; the same one is asked for at the start of a run, inside it and at its end."""
    tag = _tag(key, job_id)
    bits = ((job_id.number ^ _mask(key, tag)) << _TAG_BITS) | tag
    number = (bits >> 74) << 80 | 8 << 76 | (bits >> 62 & 0xFFF) << 64 | 2 << 62 | (bits & (1 << 62) - 1)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def job_id_of(given: object) -> int | None:
    """Return the primary key that an id carries; None if this project has not made it."""
    found = find_job_id(given)
    return None if found is None else found.number


def find_job_id(given: object) -> JobId | None:
    """Return the database and the primary key that an id carries; None if this project has not made it. No statement.

    It carries the database by a digest, so each of the jobs' databases is tried.
    """
    try:
        number = UUID(str(given)).int
    except ValueError:
        return None
    if number >> 76 & 0xF != 8 or number >> 62 & 0b11 != 2:
        return None
    bits = (number >> 80) << 74 | (number >> 64 & 0xFFF) << 62 | (number & (1 << 62) - 1)
    masked, tag = bits >> _TAG_BITS, bits & (1 << _TAG_BITS) - 1
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        key = _key(secret)
        number = masked ^ _mask(key, tag)
        if not 0 < number <= _MAX_JOB_ID:
            continue
        for database in (None, *get_settings().aliases):
            job_id = JobId(database, number)
            if constant_time_compare(f"{_tag(key, job_id):x}", f"{tag:x}"):
                return job_id
    return None


@lru_cache(maxsize=8)
def _key(secret: str | bytes) -> bytes:
    return salted_hmac(_SALT, "key", secret=secret, algorithm="sha256").digest()


def _tag(key: bytes, job_id: JobId) -> int:
    return _digest(key, b"tag", job_id.number, (job_id.database or "").encode()) >> 64 - _TAG_BITS


def _mask(key: bytes, tag: int) -> int:
    return _digest(key, b"mask", tag)


def _digest(key: bytes, purpose: bytes, number: int, text: bytes = b"") -> int:
    """Return 64 bits of BLAKE2b, which takes a key by itself: half the time of an HMAC."""
    return int.from_bytes(blake2b(number.to_bytes(8) + text, digest_size=8, key=key, person=purpose).digest())
