"""Where the demo's servers listen."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def port_to_listen_on(preferred: int = 0) -> int:
    """Return ``preferred`` if it is free, otherwise 0: the system chooses one when the server begins to listen."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, preferred))
        except OSError:
            return 0
    return preferred
