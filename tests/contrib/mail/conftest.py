"""Fixtures: the server, and settings by which the project's mails become jobs and jobs go to that server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.test import override_settings

from django_jobs.contrib.mail.backend import PATH
from tests.contrib.mail.smtp_server import ScriptedServer

HAS_MAILERS = django.VERSION >= (6, 1)
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    server = ScriptedServer(tmp_path_factory.mktemp("mails"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(_server: ScriptedServer) -> Iterator[ScriptedServer]:
    """The SMTP server, and settings that have mails sent to it by jobs of the queue ``mails``."""
    _server.forget()
    with override_settings(**mail_settings(_server.port)):
        yield _server


def mail_settings(port: int) -> dict[str, Any]:
    """Return the settings of a project: MAILERS if this Django has them, else EMAIL_BACKEND."""
    if HAS_MAILERS:
        return {
            "MAILERS": {
                "default": {"BACKEND": PATH, "OPTIONS": {"using": "smtp", "queue_name": "mails"}},
                "smtp": {"BACKEND": SMTP, "OPTIONS": {"host": "127.0.0.1", "port": port, "timeout": 30}},
            }
        }
    return {
        "EMAIL_BACKEND": PATH,
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
        "EMAIL_TIMEOUT": 30,
        "DJANGO_JOBS": {"MAIL": {"QUEUE_NAME": "mails"}},
    }
