"""Names of topics and subscriptions, short or with their project, and the project that the URL names."""

from __future__ import annotations

import re

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError

_PROJECT = re.compile(r"[a-z][a-z0-9.:-]*[a-z0-9]")
_ANY_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")
"""Of others also their number."""
_RESOURCE = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
"""Pub/Sub's guidelines to name a topic, subscription, schema or snapshot."""

RESOURCE = "3 to 255 of a-z, A-Z, 0-9 and -._~+%, the first from a-z or A-Z, not 'goog'"


def project_of(settings: BrokerSettings) -> str:
    """Return the project in the URL. Raises ConfigurationError."""
    url = settings.url
    is_plain = not (url.user or url.password or url.path or url.query) and len(url.hosts) == 1
    if is_plain and _PROJECT.fullmatch(url.hosts[0]):
        return url.hosts[0]
    raise ConfigurationError(
        f"DJANGO_JOBS['BROKERS'][{settings.name!r}]['url']: expected {settings.scheme.example}, the id of a project and"
        f" nothing else, got {url}"
    )


def full_name(project: str, kind: str, name: str) -> str:
    """Return ``projects/PROJECT/KIND/NAME`` of a short name; one that begins with ``projects/`` stays as it is."""
    return name if name.startswith("projects/") else f"projects/{project}/{kind}/{name}"


def short_name(project: str, kind: str, name: str) -> str:
    """Return the name as settings have it: short if it is of this project."""
    return name.removeprefix(f"projects/{project}/{kind}/")


def topic_name(project: str, name: str) -> str:
    """Return the full name of a topic. Raises ValueError for a name that none can have: gRPC carries only ASCII."""
    full = full_name(project, "topics", name)
    if _is_name(full, "topics"):
        return full
    raise ValueError(f"expected the name of a topic, {RESOURCE}, or projects/PROJECT/topics/NAME; got {name!r}")


def check_subscription_name(project: str, name: str) -> None:
    """Raise ConfigurationError for a name that no subscription can have, or that has a second, shorter spelling."""
    if not _is_name(full_name(project, "subscriptions", name), "subscriptions"):
        raise ConfigurationError(
            f"name: expected that of a subscription, {RESOURCE}, or projects/PROJECT/subscriptions/NAME; got {name!r}"
        )
    if (short := short_name(project, "subscriptions", name)) != name:
        raise ConfigurationError(f"name: the URL names the project already; expected {short!r}, got {name!r}")


def _is_name(full: str, kind: str) -> bool:
    parts = full.split("/")
    return (
        len(parts) == 4
        and (parts[0], parts[2]) == ("projects", kind)
        and _ANY_PROJECT.fullmatch(parts[1]) is not None
        and _RESOURCE.fullmatch(parts[3]) is not None
    )
