"""Servers of a test's own, which it may stop and kill: the shared ones are never touched."""

from __future__ import annotations

from .base import PrivateServer

__all__ = ["PrivateServer", "new_server"]


def new_server(vendor: str) -> PrivateServer:
    """Return a server of ``vendor`` that is not started yet; ends the test where its programs are missing."""
    if vendor == "postgresql":
        from .postgresql import PrivatePostgreSQL

        return PrivatePostgreSQL()
    from .mariadb import PrivateMariaDB

    return PrivateMariaDB()
