"""The public keys of an issuer of tokens, fetched from its JSON Web Key Set and kept for an hour."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ....conf.broker_schemes import BrokerScheme
from ....exceptions import JobsError
from ...interface import import_extra

logger = logging.getLogger("django_jobs.brokers")

ALGORITHM = "RS256"
FRESH_SECONDS = 3_600.0
UNKNOWN_SECONDS = 60.0
"""For so long after a fetch a key that the set did not have is not asked for again: anybody can make up a key's id."""
STALE_SECONDS = 24 * 3_600.0
"""For so long keys are used while no newer ones can be fetched."""
FAILED_SECONDS = 5.0
"""For so long after a fetch that failed none is tried."""
FETCH_SECONDS = 5.0
NEVER = float("-inf")


class KeysUnavailableError(JobsError):
    """The keys of the issuer cannot be fetched for now, so nobody can tell whether a token is right."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    keys: Mapping[str, Any] = field(default_factory=dict)
    at: float = NEVER


class SigningKeys:
    """The RSA keys of one set. Threads need no lock: at worst two fetch at once."""

    def __init__(self, scheme: BrokerScheme, url: str) -> None:
        self._scheme = scheme
        self._url = url
        self._fetched = _Fetched()
        self._failed_at = NEVER

    def find(self, key_id: str) -> Any | None:
        """Return the key of this id, or None if the issuer has none. Raises KeysUnavailableError."""
        age = time.monotonic() - self._fetched.at
        if age > FRESH_SECONDS or (age > UNKNOWN_SECONDS and key_id not in self._fetched.keys):
            try:
                self._fetch()
            except KeysUnavailableError as error:
                if age > STALE_SECONDS or key_id not in self._fetched.keys:
                    raise
                logger.warning("%s; those of %.0f s ago are used", error, age)
        return self._fetched.keys.get(key_id)

    def _fetch(self) -> None:
        jwt = import_extra(self._scheme, "jwt")
        requests = import_extra(self._scheme, "requests")
        if time.monotonic() - self._failed_at < FAILED_SECONDS:
            raise KeysUnavailableError(f"{self._url}: the keys could not be fetched a moment ago")
        try:
            answer = requests.get(self._url, timeout=FETCH_SECONDS, allow_redirects=False)
            answer.raise_for_status()
            found = dict(_usable_keys(jwt, answer.json()))
        except (requests.RequestException, RecursionError, ValueError) as error:
            self._failed_at = time.monotonic()
            raise KeysUnavailableError(f"{self._url}: the keys cannot be fetched: {error}") from error
        self._fetched = _Fetched(found, time.monotonic())


def _usable_keys(jwt: Any, key_set: object) -> Iterator[tuple[str, Any]]:
    """Yield the public RSA keys for signatures, by id; the others are left out. Raises ValueError if there are none."""
    members = key_set.get("keys") if isinstance(key_set, Mapping) else None
    is_empty = True
    for member in members if isinstance(members, list) else ():
        if not _signs(member):
            continue
        with suppress(jwt.PyJWTError, TypeError, ValueError):
            yield member["kid"], jwt.PyJWK(member, ALGORITHM)
            is_empty = False
    if is_empty:
        raise ValueError("it is no JSON Web Key Set with a public RSA key for signatures")


def _signs(member: object) -> bool:
    """Tell whether a member of a set is a key to check signatures with. One that was published whole proves nothing."""
    return (
        isinstance(member, Mapping)
        and isinstance(member.get("kid"), str)
        and member.get("kty") == "RSA"
        and member.get("use") in (None, "sig")
        and member.get("alg") in (None, ALGORITHM)
        and "d" not in member
    )
