"""URLs of message brokers: their parts, and a text of them without the password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote

MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BrokerURL:
    """``scheme://user:password@host:port,host:port/path?key=value``; ``str`` and ``repr`` have no secret.

    ``hosts`` are ``host`` or ``host:port``, as they were given. ``path`` has no slash in front.
    """

    scheme: str
    user: str = ""
    password: str = ""
    hosts: tuple[str, ...] = ()
    path: str = ""
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    text: str
    """The URL as it was given, for a client that takes one. It may have a password: never shown or logged."""

    def __str__(self) -> str:
        user = f"{self.user}{f':{MASK}' if self.password else ''}@" if self.user or self.password else ""
        path = f"/{self.path}" if self.path else ""
        query = f"?{'&'.join(f'{key}={MASK}' for key in self.query)}" if self.query else ""
        slashes = "//" if self.hosts else ""
        return f"{self.scheme}:{slashes}{user}{','.join(self.hosts)}{path}{query}"

    def __repr__(self) -> str:
        return f"<BrokerURL {self}>"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that must not be seen, as written in the URL and as they are meant."""
        written = self.text.rpartition("@")[0].rpartition("://")[2].partition(":")[2]
        return tuple({self.password, written, *self.query.values()} - {""})


def parse_broker_url(text: str) -> BrokerURL:
    """Return the parts of a URL. Raises ValueError, whose text does not have the URL: it may have a password."""
    scheme, colon, rest = text.strip().partition(":")
    if not colon or not scheme:
        raise ValueError("expected a URL such as scheme://host:port, got a text without a scheme")
    if not rest.startswith("//"):
        if rest:
            raise ValueError(f"expected {scheme}://, got a URL without the two slashes")
        return BrokerURL(scheme=scheme.lower(), text=text.strip())
    place, _, query = rest[2:].partition("?")
    authority, _, path = place.partition("/")
    user_info, _, hosts = authority.rpartition("@")
    user, _, password = user_info.partition(":")
    return BrokerURL(
        scheme=scheme.lower(),
        user=unquote(user),
        password=unquote(password),
        hosts=tuple(host for host in hosts.split(",") if host),
        path=unquote(path),
        query=MappingProxyType(dict(parse_qsl(query, keep_blank_values=True))),
        text=text.strip(),
    )


def hide_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Return ``text`` with each secret masked: what a broker or its client says may repeat a password."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
