"""The setting ``NOTIFIER``: a Redis whose channels wake idle workers where the database cannot."""

from __future__ import annotations

from ..exceptions import ConfigurationError
from ..policy.broker_url import BrokerURL, parse_broker_url

_EXAMPLE = "redis://user:password@host:6379"
_SCHEMES = ("redis", "rediss")


def as_notifier(option: str, value: object) -> BrokerURL | None:
    """Return the parts of the URL; None for None. Raises ConfigurationError, whose text does not have the URL."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"{option}: expected a URL such as {_EXAMPLE} or None, got {type(value).__name__}")
    try:
        url = parse_broker_url(value)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from None
    if url.scheme not in _SCHEMES:
        raise ConfigurationError(
            f"{option}: expected a URL that begins with {' or '.join(f'{name}://' for name in _SCHEMES)}, got"
            f" {url.scheme[:40]}:"
        )
    if len(url.hosts) != 1:
        raise ConfigurationError(f"{option}: expected a URL with one host, such as {_EXAMPLE}, got {len(url.hosts)}")
    return url
