"""Results that are too large for the database: JSON files in one of Django's STORAGES (``RESULTS["STORAGE"]``).

The job's row has a reference in the result's place that names storage and file. A file's name cannot be guessed.
"""

from __future__ import annotations

import logging
import secrets
from datetime import date
from typing import Any, NamedTuple

from django.core.files.base import ContentFile
from django.core.files.storage import storages

from .arguments.serialization import RESULT_FILE_TAG, TAG, read_json
from .exceptions import ResultUnreadableError

FOLDER = "django_jobs/results"
MAX_NAME_LENGTH = 500

logger = logging.getLogger("django_jobs.results")


class ResultFile(NamedTuple):
    """A result's file: an alias of STORAGES, the name there, and its length."""

    storage: str
    name: str
    bytes: int

    def reference(self) -> dict[str, Any]:
        """Return the value that the database stores in the result's place."""
        return {TAG: RESULT_FILE_TAG, **self._asdict()}


def parse_result_file(stored: object) -> ResultFile | None:
    """Return the file that ``stored``, a job's result as the database has it, refers to; None if it is no reference."""
    if not (isinstance(stored, dict) and stored.get(TAG) == RESULT_FILE_TAG):
        return None
    match stored:
        case {"storage": str(storage), "name": str(name), "bytes": int(size)}:
            return ResultFile(storage, name, size)
        case _:
            return None


def write_result(text: str, *, job_id: int, day: date, storage: str) -> ResultFile:
    """Write a result's JSON to a new file. Raises any exception of the storage."""
    content = text.encode()
    wanted = f"{FOLDER}/{day:%Y/%m/%d}/{job_id}-{secrets.token_hex(16)}.json"
    name = storages[storage].save(wanted, ContentFile(content), max_length=MAX_NAME_LENGTH)
    if len(name) > MAX_NAME_LENGTH:
        delete_result(storage, name)
        raise ValueError(f"the storage's name for the file has {len(name)} characters, of {MAX_NAME_LENGTH} allowed")
    return ResultFile(storage, name, len(content))


def read_result(file: ResultFile) -> Any:
    """Return the JSON in the file, tags and all. Raises ResultUnreadableError."""
    what = f"the result in the file {file.name} of STORAGES[{file.storage!r}] cannot be read"
    try:
        with storages[file.storage].open(file.name) as opened:
            text = opened.read().decode()
        return read_json(text)
    except FileNotFoundError as error:
        raise ResultUnreadableError(f"{what}: it is gone", is_gone=True) from error
    except Exception as error:  # a storage may raise anything
        raise ResultUnreadableError(f"{what}: {type(error).__name__}: {error}", is_gone=False) from error


def delete_result(storage: str, name: str) -> bool:
    """Delete a file and return whether it is gone; an error of the storage is logged."""
    try:
        storages[storage].delete(name)
    except FileNotFoundError:
        return True
    except Exception:  # a storage may raise anything
        logger.exception("the result's file %s of STORAGES[%r] could not be deleted", name, storage)
        return False
    return True
