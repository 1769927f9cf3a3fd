"""A Redis that keeps what it has confirmed over a kill."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from tests.required import is_missing

from .base import PrivateServer, find_program, free_port
from .certificate import make_certificate


class PrivateRedis(PrivateServer):
    """Listens at 127.0.0.1, without a password."""

    user = "redis"

    def _make(self) -> None:
        self._program = find_program("redis-server") or find_program("valkey-server")
        if not self._program:
            is_missing("Redis (Debian: redis-server)")
        self.tls_port = free_port()
        self.certificate = make_certificate(self.folder)

    def _command(self) -> Sequence[str]:
        assert self._program is not None
        options = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(self.folder), "save": ""}
        durable = {"appendonly": "yes", "appendfsync": "always"}
        tls = {"tls-port": str(self.tls_port), "tls-auth-clients": "no", "tls-ca-cert-file": str(self.certificate.file)}
        tls |= {"tls-cert-file": str(self.certificate.file), "tls-key-file": str(self.certificate.key)}
        return [
            self._program,
            *(text for key, value in (options | durable | tls).items() for text in (f"--{key}", value)),
        ]

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "", "PASSWORD": ""}

    def connect(self) -> redis.Redis:
        """Return a client."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=60)

    def answers(self) -> bool:
        try:
            with self.connect() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
