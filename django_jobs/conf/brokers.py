"""The setting ``BROKERS``: message brokers by name, each checked by the scheme of its URL; secrets are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..exceptions import ConfigurationError, SettingsError
from ..policy.broker_url import BrokerURL, hide_secrets, parse_broker_url
from ..policy.hints import find_near
from .broker_schemes import BrokerScheme, find_scheme, get_scheme, known_schemes
from .fields import read_keys

MAX_BROKER_NAME_LENGTH = 80
_ON_DEAD_MESSAGE = ("continue", "hold_key")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False, weakref_slot=True)
class BrokerSettings:
    """One broker of the setting, compared by identity. Its ``repr`` has no option, because one may be a password.

    ``holds_key_of_dead``: a message that is dead holds back the later ones of its destination and key.
    """

    name: str
    scheme: BrokerScheme
    url: BrokerURL
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    holds_key_of_dead: bool = False

    def __repr__(self) -> str:
        return f"<broker {self.name!r} at {self.url}>"

    @property
    def is_pushed(self) -> bool:
        """True if the broker sends its messages to this project's web server: nothing is consumed from it."""
        return "push" in self.options

    def hide(self, text: object) -> str:
        """Return a text, such as that of a client's error, without this broker's password and text options."""
        secrets = tuple(value for key, value in self.options.items() if isinstance(value, str) and _is_secret(key))
        return hide_secrets(str(text), (*self.url.secrets, *filter(None, secrets)))


def _is_secret(option: str) -> bool:
    name = option.lower()
    return any(part in name for part in ("password", "secret", "token", "key"))


def as_brokers(option: str, value: object) -> Mapping[str, BrokerSettings]:
    """Return the setting's value, checked, or raise ConfigurationError with all that is wrong; none of it has a URL."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{option}: expected a dict of brokers by name, got {type(value).__name__}")
    brokers: dict[str, BrokerSettings] = {}
    problems: list[str] = []
    for name, given in value.items():
        try:
            brokers[_as_name(option, name)] = _as_broker(f"{option}[{name!r}]", name, given)
        except ConfigurationError as error:
            problems += error.problems if isinstance(error, SettingsError) else [str(error)]
    if problems:
        raise SettingsError(problems)
    return MappingProxyType(brokers)


def find_broker(name: str, brokers: Mapping[str, BrokerSettings]) -> BrokerSettings:
    """Return the broker of this name, or raise ConfigurationError with the nearest one."""
    if name in brokers:
        return brokers[name]
    near = find_near(name, brokers)
    hint = f"did you mean {near!r}?" if near else f"known are {', '.join(map(repr, sorted(brokers))) or 'none'}"
    raise ConfigurationError(f"DJANGO_JOBS['BROKERS'] has no broker {str(name)[:100]!r}; {hint}")


def _as_name(option: str, name: object) -> str:
    if (
        isinstance(name, str)
        and 0 < len(name) <= MAX_BROKER_NAME_LENGTH
        and name.isprintable()
        and name == name.strip()
        and not {",", "/"} & set(name)
    ):
        return name
    raise ConfigurationError(
        f"{option}: expected names of 1 to {MAX_BROKER_NAME_LENGTH} printable characters without comma and slash, got"
        f" {str(name)[:MAX_BROKER_NAME_LENGTH]!r}"
    )


def _as_broker(option: str, name: str, given: object) -> BrokerSettings:
    if not isinstance(given, Mapping) or "url" not in given:
        raise ConfigurationError(f'{option}: expected a dict such as {{"url": "kafka://host:9092"}}')
    read = read_keys(option, given, {"url": _as_url, "options": _as_options, "on_dead_message": _as_on_dead})
    url: BrokerURL = read["url"]
    scheme = get_scheme(url.scheme)
    options = read.get("options", {})
    if scheme.options is not None:
        options = read_keys(f"{option}['options']", options, scheme.options)
    holds = read.get("on_dead_message") == "hold_key"
    if holds and scheme.is_local:
        raise ConfigurationError(
            f"{option}['on_dead_message']: nothing is sent on a broker {scheme.name}:; leave it out"
        )
    return BrokerSettings(
        name=name, scheme=scheme, url=url, options=MappingProxyType(dict(options)), holds_key_of_dead=holds
    )


def _as_url(option: str, value: object) -> BrokerURL:
    if not isinstance(value, str):
        raise ConfigurationError(f"{option}: expected a URL, got {type(value).__name__}")
    try:
        url = parse_broker_url(value)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from None
    scheme = find_scheme(url.scheme)
    if scheme is None:
        near = find_near(url.scheme, known_schemes())
        hint = f"did you mean {near!r}?" if near else f"known are {', '.join(known_schemes())}"
        raise ConfigurationError(f"{option}: unknown scheme {url.scheme[:40]!r}; {hint}")
    if scheme.needs_host and not url.hosts:
        raise ConfigurationError(f"{option}: expected a URL such as {scheme.example}, got one without a host")
    return url


def _as_on_dead(option: str, value: object) -> str:
    if isinstance(value, str) and value in _ON_DEAD_MESSAGE:
        return value
    raise ConfigurationError(f"{option}: expected {' or '.join(map(repr, _ON_DEAD_MESSAGE))}, got {value!r}")


def _as_options(option: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise ConfigurationError(f"{option}: expected a dict of options by name, got {type(value).__name__}")
