"""Keep the clients of a parent process untouched in a forked child.

The threads of librdkafka do not live in the child. A client that is freed there waits for them for ever, or aborts the
process, so the child never frees those that it has inherited.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any
from weakref import WeakSet

_clients: WeakSet[Any] = WeakSet()
_held: list[Any] = []


@cache
def _with_weak_references(kind: type) -> type:
    return type(kind.__name__, (kind,), {})


def make_client(kind: type, options: dict[str, Any]) -> Any:
    """Return a new client of this kind, which a forked child leaves alone."""
    client = _with_weak_references(kind)(options)
    _clients.add(client)
    return client


def _hold() -> None:
    """Hold all clients during the fork: what else the child does first may drop them."""
    _held.extend(_clients)


def _keep_for_ever() -> None:
    for client in _held:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
    _held.clear()
    _clients.clear()


os.register_at_fork(before=_hold, after_in_parent=_held.clear, after_in_child=_keep_for_ever)
