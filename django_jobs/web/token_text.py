"""The text of a token: written, parsed, and checked against the stored hash. No I/O.

::

    djt_8fJ2kQ0aXw1z.Yk3...43 random characters
        ^^^^^^^^^^^^                             key: stored as it is, finds the row, may appear in logs
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^  secret: stored as its SHA-256, shown once

The secret has 256 bits of randomness, so its plain hash cannot be searched; a slow hash would protect
nothing more and cost each request.
"""

from __future__ import annotations

import hashlib
import hmac

PREFIX = "djt_"
KEY_LENGTH = 12
SECRET_BYTES = 32
_MAX_TOKEN_LENGTH = 200


def format_token(key: str, secret: str) -> str:
    """Return the text that a service sends."""
    return f"{PREFIX}{key}.{secret}"


def parse_token(text: str) -> tuple[str, str] | None:
    """Return key and secret of a token's text, or None if it is not the text of a token."""
    key, dot, secret = text.removeprefix(PREFIX).partition(".")
    is_token = text.startswith(PREFIX) and dot and secret and len(text) <= _MAX_TOKEN_LENGTH and text.isascii()
    return (key, secret) if is_token and len(key) == KEY_LENGTH and key.isalnum() else None


def hash_secret(secret: str) -> str:
    """Return the hash of a secret that is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verify_secret(secret: str, secret_hash: str) -> bool:
    """Tell whether ``secret_hash`` is the hash of this secret, in constant time."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)
