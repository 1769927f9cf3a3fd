"""A PostgreSQL server of the measure's own, with autovacuum on, in place of the one at hand for a while.

A server for tests often has autovacuum off, and its tables only grow. Autovacuum looks every second here, not every
minute, because a measure is as much shorter than a day. The other databases clean up by themselves and are used as they
are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from unittest.mock import patch

from django.core.management import call_command
from django.db import connections

from tests.private.postgresql import PrivatePostgreSQL

from .place import Place

V = TypeVar("V", bound=PrivatePostgreSQL)


class TidyPostgreSQL(PrivatePostgreSQL):
    """Its autovacuum looks at a table every second."""

    def _command(self) -> Sequence[str]:
        return [*super()._command(), "-c", "autovacuum_naptime=1s"]


@contextmanager
def own_server(place: Place) -> Iterator[None]:
    """Let this process, and those that it starts, use that server, with empty tables."""
    if place.vendor != "postgresql":
        yield
        return
    with at_server(place, TidyPostgreSQL()):
        yield


@contextmanager
def at_server(place: Place, server: V) -> Iterator[V]:
    """Start the server, have this process and those that it starts use it, with empty tables, and remove it."""
    try:
        server.start()
        settings = server.settings()
        variables = {f"DJANGO_JOBS_TEST_POSTGRESQL_{key}": value for key, value in settings.items()}
        with patch.dict(os.environ, variables), patch.dict(connections["default"].settings_dict, settings):
            connections.close_all()
            place.server.create()
            call_command("migrate", verbosity=0)
            try:
                yield server
            finally:
                connections.close_all()
    finally:
        server.remove()
