"""A storage for large results in a folder of the test's own, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings

LARGE = "x" * 200


@contextmanager
def storing(folder: Path, **options: Any) -> Iterator[None]:
    """Have results of more than 100 bytes go to files in ``folder``; ``options`` are more of RESULTS."""
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}
    with override_settings(
        STORAGES={**settings.STORAGES, "results": backend},
        DJANGO_JOBS={"RESULTS": {"MAX_BYTES": 100, "STORAGE": "results", **options}},
    ):
        yield


def files(folder: Path) -> list[Path]:
    """Return the files of results."""
    return sorted(folder.rglob("*.json"))
