"""The option ``push`` of a Pub/Sub broker: whose tokens are accepted with the messages that it pushes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from ..exceptions import ConfigurationError
from .fields import read_keys
from .readers import as_duration_from_zero

CERTS_URL = "https://www.googleapis.com/oauth2/v3/certs"
ISSUERS = ("https://accounts.google.com", "accounts.google.com")
CLOCK_SKEW = timedelta(seconds=10)
MAX_CLOCK_SKEW = timedelta(minutes=5)
_SAFE_URL = re.compile(r"https://[^/\s@]+(/\S*)?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/\S*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """The contents that a pushed message's token must have.

    ``audience``: its ``aud``. ``service_accounts``: one of them is its ``email``. ``issuers``: one of them is its
    ``iss``. ``certs_url``: where the issuer publishes its keys, as a JSON Web Key Set. ``clock_skew``: by how much the
    issuer's clock may differ from this one.
    """

    audience: str
    service_accounts: tuple[str, ...]
    issuers: tuple[str, ...] = ISSUERS
    certs_url: str = CERTS_URL
    clock_skew: timedelta = CLOCK_SKEW


def as_push(option: str, value: object) -> PushSettings:
    """Return the option's value, checked, or raise ConfigurationError with all that is wrong."""
    read = read_keys(
        option,
        value,
        {
            "audience": _as_text,
            "service_account": _as_accounts,
            "issuer": _as_text,
            "certs_url": _as_certs_url,
            "clock_skew": _as_clock_skew,
        },
    )
    missing = [key for key in ("audience", "service_account") if key not in read]
    if missing:
        raise ConfigurationError(
            f"{option}: {' and '.join(map(repr, missing))} missing; a push is accepted only if its token is for this"
            " audience and of this service account, as the subscription has them"
        )
    return PushSettings(
        audience=read["audience"],
        service_accounts=read["service_account"],
        issuers=(read["issuer"],) if "issuer" in read else ISSUERS,
        certs_url=read.get("certs_url", CERTS_URL),
        clock_skew=read.get("clock_skew", CLOCK_SKEW),
    )


def _as_text(option: str, value: object) -> str:
    if isinstance(value, str) and value and value == value.strip():
        return value
    raise ConfigurationError(f"{option}: expected a text, got {value!r}")


def _as_accounts(option: str, value: object) -> tuple[str, ...]:
    accounts = (value,) if isinstance(value, str) else value
    if isinstance(accounts, (list, tuple)) and accounts and all(_is_email(account) for account in accounts):
        return tuple(accounts)
    raise ConfigurationError(
        f"{option}: expected the e-mail address of a service account, or a list of some, got {value!r}"
    )


def _is_email(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[^\s@]+@[^\s@]+", value) is not None


def _as_certs_url(option: str, value: object) -> str:
    if isinstance(value, str) and _SAFE_URL.fullmatch(value):
        return value
    raise ConfigurationError(f"{option}: expected an address that begins with https://, got {value!r}")


def _as_clock_skew(option: str, value: object) -> timedelta:
    skew = as_duration_from_zero(option, value)
    if skew <= MAX_CLOCK_SKEW:
        return skew
    raise ConfigurationError(f"{option}: expected up to {MAX_CLOCK_SKEW.total_seconds():.0f} seconds, got {value!r}")
