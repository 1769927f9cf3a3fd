"""Tell whether the token of a push is Google's, for this project, and of the service account of the subscription.

The token is a JSON Web Token of OpenID Connect, signed by RS256; PyJWT checks it. No other algorithm is accepted, so
that a token cannot choose one by which the public key is a password.
"""

from __future__ import annotations

import traceback
from typing import Any
from weakref import WeakKeyDictionary

from django.views.decorators.debug import sensitive_variables

from ....conf.broker_push import PushSettings
from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError, JobsError
from ....policy.broker_url import hide_secrets
from ...interface import import_extra
from .signing_keys import ALGORITHM, KeysUnavailableError, SigningKeys

MAX_LENGTH = 8_192
MAX_PLACES = 4
"""Of so many frames an error that nobody expected tells file and line."""
MIN_SECRET_LENGTH = 8
ODD_CONTENT = (OverflowError, RecursionError, TypeError, ValueError)
"""What older releases of PyJWT raise, beside their own errors, for JSON that is nested too deeply or has odd types."""

_keys: WeakKeyDictionary[BrokerSettings, SigningKeys] = WeakKeyDictionary()


class TokenRefusedError(JobsError):
    """The token is none, was changed, is too old, or was made by or for somebody else."""


class AccountRefusedError(JobsError):
    """The token is right, but of an account that may not push."""


class TokenCheckError(JobsError):
    """The token could not be checked, because of a fault of this project or of its packages."""


@sensitive_variables("authorization", "token")
def find_token_error(settings: BrokerSettings, authorization: str) -> Exception | None:
    """Return what is wrong with the header of a push, or None: an error of ``check_token``, or TokenCheckError.

    It is returned without its frames, whose variables, also those of PyJWT and requests, have the token. Whoever
    reports errors with variables would store it, and it may be used again for an hour.
    """
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    try:
        if scheme.lower() != "bearer":
            raise TokenRefusedError("the request has no bearer token")
        check_token(settings, token)
    except (TokenRefusedError, AccountRefusedError, KeysUnavailableError, ConfigurationError) as error:
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - whatever it is, its frames have the token
        places = traceback.extract_tb(error.__traceback__)[-MAX_PLACES:]
        where = ", ".join(f"{place.filename}:{place.lineno} in {place.name}" for place in places)
        secrets = [part for part in (token, *token.split(".")) if len(part) >= MIN_SECRET_LENGTH]
        text = hide_secrets(str(error), tuple(secrets))
        return TokenCheckError(f"the token of a push cannot be checked: {type(error).__name__}: {text} (at {where})")
    return None


@sensitive_variables("token", "claims")
def check_token(settings: BrokerSettings, token: str) -> None:
    """Check the token of a push against the option ``push`` of a broker.

    Raises TokenRefusedError, AccountRefusedError or KeysUnavailableError; their texts are for the log, not the sender.
    """
    jwt = import_jwt(settings)
    push: PushSettings = settings.options["push"]
    try:
        claims = _claims(jwt, settings, push, token)
    except ConfigurationError:
        raise  # it is a ValueError, and no fault of the token
    except (jwt.PyJWTError, *ODD_CONTENT) as error:
        raise TokenRefusedError(f"{type(error).__name__}: {error}") from None
    email = claims["email"]
    if claims.get("email_verified") is not True:
        raise AccountRefusedError(f"expected a token whose 'email_verified' is true; that of {email!r} is not")
    if email not in push.service_accounts:
        raise AccountRefusedError(f"expected a token of {' or '.join(push.service_accounts)}, got one of {email!r}")


def import_jwt(settings: BrokerSettings) -> Any:
    """Import PyJWT with what it needs for RSA, or raise ConfigurationError that names the extra."""
    for module in ("cryptography", "requests"):
        import_extra(settings.scheme, module)
    return import_extra(settings.scheme, "jwt")


@sensitive_variables("token", "claims")
def _claims(jwt: Any, settings: BrokerSettings, push: PushSettings, token: str) -> dict[str, Any]:
    """Return what a token says, verified. Raises PyJWTError, TokenRefusedError or KeysUnavailableError."""
    if len(token) > MAX_LENGTH:
        raise TokenRefusedError(f"the token has more than {MAX_LENGTH} characters")
    header = jwt.get_unverified_header(token)
    key_id = header.get("kid")
    if not key_id:
        raise TokenRefusedError("the token names no key")
    keys = _keys.get(settings)
    if keys is None:
        keys = _keys[settings] = SigningKeys(settings.scheme, push.certs_url)
    key = keys.find(key_id)
    if key is None:
        raise TokenRefusedError(f"the issuer has no key {key_id[:80]!r}")
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=[ALGORITHM],
        audience=push.audience,
        issuer=list(push.issuers),
        leeway=push.clock_skew,
        options={"require": ["exp", "iat", "iss", "aud", "email"]},
    )
    return claims
