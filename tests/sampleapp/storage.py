"""A storage that is down, as one behind a network may be."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import Storage


class BrokenStorage(Storage):
    """Answers nothing."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        raise ConnectionError("the storage is down")

    def _save(self, name: str, content: Any) -> str:
        raise ConnectionError("the storage is down")

    def exists(self, name: str) -> bool:
        return False

    def delete(self, name: str) -> None:
        raise ConnectionError("the storage is down")
