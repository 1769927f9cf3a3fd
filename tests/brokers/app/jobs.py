from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from django_jobs import job
from django_jobs.brokers import consumes
from django_jobs.brokers.interface import ReceivedMessage

from . import FREEZES


def decode(message: ReceivedMessage) -> Any:
    """Read the body as JSON. Who takes the file away stops first: a consumer with a batch that it has only read."""
    if path := os.environ.get(FREEZES):
        try:
            Path(path).unlink()
        except FileNotFoundError:
            pass
        else:
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread goes no step further
    return json.loads(message.body)


@job(name="consuming.count")
@consumes("events", "numbers", decode=decode)
def count(number: int) -> int:
    """Return the number."""
    return number
