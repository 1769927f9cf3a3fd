"""ministack, a server that speaks the protocols of Amazon's services; what they keep is in memory."""

from __future__ import annotations

import os
import pwd
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import boto3

from tests.required import is_missing

from .base import PrivateServer

REGION = "eu-central-1"
CREDENTIALS = {"aws_access_key_id": "AKIATESTSOFQUEUES", "aws_secret_access_key": "not-looked-at"}


class PrivateMinistack(PrivateServer):
    """Listens at 127.0.0.1. ``service``: the one that it runs, by Amazon's short name."""

    user = pwd.getpwuid(os.geteuid()).pw_name  # the package may be in this user's home
    service: str

    def __init__(self) -> None:
        self._client: Any = None
        super().__init__()

    def _make(self) -> None:
        if find_spec("ministack") is None:
            is_missing("a server for Amazon's services (PyPI: ministack)")

    def _variables(self) -> Mapping[str, object]:
        """Return more variables of its environment."""
        return {}

    def _command(self) -> Sequence[str]:
        variables = {
            "GATEWAY_PORT": self.port,
            "BIND_HOST": "127.0.0.1",
            "SERVICES": self.service,
            "TMPDIR": self.folder,
            **self._variables(),
        }
        return ["env", *(f"{name}={value}" for name, value in variables.items()), sys.executable, "-m", "ministack"]

    def settings(self) -> dict[str, str]:
        return {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": "", "PASSWORD": ""}

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def connect(self) -> Any:
        """Return a client."""
        session = boto3.session.Session(region_name=REGION, **CREDENTIALS)
        return session.client(self.service, endpoint_url=self.url)

    @property
    def client(self) -> Any:
        """One client, for what a test sets up."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    def remove(self) -> None:
        if self._client is not None:
            self._client.close()
        super().remove()
