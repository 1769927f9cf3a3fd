"""The only writer of tokens: create one, find it by its text, record its use, revoke it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.utils.crypto import get_random_string

from ..models.base import MAX_ACTOR_LENGTH
from ..store.clock import DatabaseNow, database_now
from ..store.dialects import open_dialect
from .models import Token
from .token_text import KEY_LENGTH, SECRET_BYTES, format_token, hash_secret, parse_token, verify_secret

LAST_USED_PRECISION = timedelta(minutes=1)
"""``last_used_at`` is written at most once in this time: the row would be a hot spot otherwise."""
_UNKNOWN_KEY_HASH = hash_secret("")


def create_token(
    name: str, *, job_names: Iterable[str] = (), reads_metrics: bool = False, by: str = "", using: str | None = None
) -> tuple[Token, str]:
    """Insert a token and return it with its text, which is stored nowhere."""
    _, connection = open_dialect(using)
    key, secret = get_random_string(KEY_LENGTH), secrets.token_urlsafe(SECRET_BYTES)
    token = Token.objects.using(connection.alias).create(
        name=name,
        key=key,
        secret_hash=hash_secret(secret),
        job_names=sorted(set(job_names)),
        reads_metrics=reads_metrics,
        created_at=database_now(using=connection.alias),
        created_by=by[:MAX_ACTOR_LENGTH],
    )
    return token, format_token(key, secret)


def find_token(text: str, *, using: str | None = None) -> Token | None:
    """Return the token with this text, also a revoked one, or None. At most one statement."""
    parts = parse_token(text)
    if parts is None:
        return None
    _, connection = open_dialect(using)
    key, secret = parts
    token = Token.objects.using(connection.alias).filter(key=key).first()
    # Compare for unknown keys as well, so that the time taken does not tell which keys exist.
    matches = verify_secret(secret, token.secret_hash if token else _UNKNOWN_KEY_HASH)
    return token if matches else None


def record_token_use(token: Token, *, using: str | None = None) -> None:
    """Set ``last_used_at`` to now, unless it was set within the last minute."""
    if token.last_used_at is not None and datetime.now(UTC) - token.last_used_at < LAST_USED_PRECISION:
        return
    _, connection = open_dialect(using)
    Token.objects.using(connection.alias).filter(pk=token.pk).update(last_used_at=DatabaseNow())


def revoke_token(key: str, *, by: str = "", using: str | None = None) -> bool:
    """Revoke a token from the commit on, and tell whether it was valid before."""
    _, connection = open_dialect(using)
    valid = Token.objects.using(connection.alias).filter(key=key, revoked_at__isnull=True)
    return bool(valid.update(revoked_at=DatabaseNow(), revoked_by=by[:MAX_ACTOR_LENGTH]))
