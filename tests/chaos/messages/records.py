"""A message as it is read from a broker, or from the file into which relays write what was confirmed."""

from __future__ import annotations

import json
from pathlib import Path

from .audit import Record


def record_of(body: bytes | str, key: str, event_id: str, partition: str = "0") -> Record:
    """Return the record of a message."""
    return Record(number=json.loads(body)["number"], key=key, id=event_id, partition=partition)


def read_witness(path: Path) -> list[Record]:
    """Return the messages that relays wrote down when they were confirmed."""
    return [record_of(**json.loads(line)) for line in path.read_text().splitlines()]
