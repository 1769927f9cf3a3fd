"""CloudEvents 1.0 in binary mode: the attributes of a message that is sent, and the id of one that was received."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

SPEC_VERSION = "1.0"
_NAMESPACE = UUID("6f0f4d0e-0a39-4a53-9d6c-0b6f5d9a2c11").bytes
_PREFIXES = ("ce_", "ce-", "cloudevents:", "cloudevents_")
"""Of headers that are an event's attributes, in lower case: those of the protocols' bindings."""
_KEY_HEADERS = ("idempotency-key", "idempotency_key")


def message_id(*, installation: str, job_id: int, enqueued: float) -> str:
    """Return the id of the message that a job sends: the same at each attempt, another in each installation.

    ``enqueued`` tells jobs of one number apart, in copies of a database that went on separately.
    """
    name = f"{installation}\0{job_id}\0{enqueued:.6f}"
    digest = bytearray(hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # the variant of RFC 9562
    text = digest.hex()  # what uuid5 makes, in a third of the time
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def event_attributes(*, event_id: str, source: str, event_type: str, enqueued: float) -> dict[str, str]:
    """Return the attributes of an event, by their plain names."""
    return {
        "specversion": SPEC_VERSION,
        "id": event_id,
        "source": source,
        "type": event_type,
        "time": datetime.fromtimestamp(enqueued, UTC).isoformat().replace("+00:00", "Z"),
    }


def received_id(headers: Mapping[str, str], broker_id: str | None) -> str | None:
    """Return the id of a message: its own, else the broker's; None: it has none."""
    return (_own_id(headers) or ("", broker_id))[1] or None


def deduplication_id(headers: Mapping[str, str], broker_id: str | None) -> str | None:
    """Return that by which a second delivery of a message is known, of any length; None: it has nothing.

    Of an event its source and its id: CloudEvents makes only both together unique. Of others the id alone.
    """
    source, found = _own_id(headers) or ("", broker_id)
    return f"{source}\0{found}" if source and found else found or None


def _own_id(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the source (empty: unknown) and the id that a message says of itself."""
    events, keys = _id_names(tuple(headers))
    for id_name, source_name in events:
        if found := headers[id_name]:
            return (headers[source_name] if source_name else ""), found
    key = next((headers[name] for name in keys if headers[name]), None)
    return ("", key) if key else None


@lru_cache(maxsize=256)
def _id_names(names: tuple[str, ...]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Return which of these headers are an event's id and source, in any case of letters, and which are keys.

    Found once for all messages whose headers have the same names: a producer's do.
    """
    by_name = {name.lower(): name for name in names}
    ids = [(by_name.get(f"{prefix}id"), by_name.get(f"{prefix}source")) for prefix in _PREFIXES]
    return [(name, source) for name, source in ids if name], [by_name[name] for name in _KEY_HEADERS if name in by_name]
