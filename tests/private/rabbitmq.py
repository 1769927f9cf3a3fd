"""A RabbitMQ node of its own, which keeps what it has confirmed over a kill."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import amqp

from tests.required import is_missing

from .base import PrivateServer, free_port
from .certificate import make_certificate

SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
MAX_BYTES = 1_000_000


class PrivateRabbitMQ(PrivateServer):
    """Listens at 127.0.0.1 for guest; takes messages of up to ``MAX_BYTES``.

    The script of the package's own folder is started, not the wrapper in PATH, which wants to be root; as under
    systemd, so that the process is the server and not a shell that waits for it.
    """

    user = "rabbitmq"
    START_SECONDS = 120

    def _make(self) -> None:
        found = [path for script in SCRIPTS for path in Path("/").glob(script.removeprefix("/"))]
        if not found:
            is_missing("RabbitMQ (Debian: rabbitmq-server)")
        self._script = str(found[0])
        self.tls_port = free_port()
        self.certificate = make_certificate(self.folder)
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nmax_message_size = {MAX_BYTES}\ndisk_free_limit.absolute = 1MB\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\nssl_options.certfile = {self.certificate.file}\n"
            f"ssl_options.keyfile = {self.certificate.key}\nssl_options.verify = verify_none\n"
        )
        for name in ("env.conf", "plugins"):
            (self.folder / name).write_text("[].\n" if name == "plugins" else "")
        self._dist_port = free_port()

    def _command(self) -> Sequence[str]:
        folder = self.folder
        variables = {
            "HOME": folder,
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"django_jobs_{self.port}@localhost",
            "RABBITMQ_DIST_PORT": self._dist_port,
            "RABBITMQ_MNESIA_BASE": folder / "data",
            "RABBITMQ_LOG_BASE": folder / "log",
            "RABBITMQ_CONF_ENV_FILE": folder / "env.conf",
            "RABBITMQ_CONFIG_FILE": folder / "rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }
        env = shutil.which("env") or "/usr/bin/env"
        return [env, *(f"{name}={value}" for name, value in variables.items()), self._script]

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "guest", "PASSWORD": "guest"}

    def connect(self) -> Any:
        """Return a connection of the client, open."""
        connection = amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=60, read_timeout=60, write_timeout=60)
        connection.connect()
        return connection

    def answers(self) -> bool:
        try:
            self.connect().close()
        except (OSError, amqp.AMQPError):
            return False
        return True
