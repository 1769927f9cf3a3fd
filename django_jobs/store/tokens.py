"""Tokens: make one, find it by what a service sent, note that it was used, revoke it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.utils.crypto import get_random_string

from ..models import Token
from ..models.base import MAX_ACTOR_LENGTH
from ..policy.tokens import KEY_LENGTH, SECRET_BYTES, format_token, hash_secret, parse_token, verify_secret
from .clock import DatabaseNow, database_now
from .dialects import open_dialect

LAST_USED_PRECISION = timedelta(minutes=1)
"""When a token was last used is written at most so often: it would be a hot row."""
_NOBODYS_HASH = hash_secret("")


def create_token(
    name: str, *, job_names: Iterable[str], by: str = "", using: str | None = None
) -> tuple[Token, str]:
    """Insert a token and return it with its text, which is kept nowhere."""
    _, connection = open_dialect(using)
    key, secret = get_random_string(KEY_LENGTH), secrets.token_urlsafe(SECRET_BYTES)
    token = Token.objects.using(connection.alias).create(
        name=name,
        key=key,
        secret_hash=hash_secret(secret),
        job_names=sorted(set(job_names)),
        created_at=database_now(using=connection.alias),
        created_by=by[:MAX_ACTOR_LENGTH],
    )
    return token, format_token(key, secret)


def find_token(text: str, *, using: str | None = None) -> Token | None:
    """Return the token of which this is the text, a revoked one too, or None. One statement at the most."""
    parts = parse_token(text)
    if parts is None:
        return None
    _, connection = open_dialect(using)
    key, secret = parts
    token = Token.objects.using(connection.alias).filter(key=key).first()
    # Compared where there is none as well: the time does not tell which keys there are.
    matches = verify_secret(secret, token.secret_hash if token else _NOBODYS_HASH)
    return token if matches else None


def record_token_use(token: Token, *, using: str | None = None) -> None:
    """Write that a token was used now, unless that was written within the last minute."""
    if token.last_used_at is not None and datetime.now(UTC) - token.last_used_at < LAST_USED_PRECISION:
        return
    _, connection = open_dialect(using)
    Token.objects.using(connection.alias).filter(pk=token.pk).update(last_used_at=DatabaseNow())


def revoke_token(key: str, *, by: str = "", using: str | None = None) -> bool:
    """Have a token open nothing from the commit on, and tell whether it did before."""
    _, connection = open_dialect(using)
    valid = Token.objects.using(connection.alias).filter(key=key, revoked_at__isnull=True)
    return bool(valid.update(revoked_at=DatabaseNow(), revoked_by=by[:MAX_ACTOR_LENGTH]))
