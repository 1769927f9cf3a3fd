"""Tell a Redis that is down from one that is set up otherwise than the settings say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ....exceptions import ConfigurationError
from ...interface import BrokerDownError

T = TypeVar("T")

FOR_NOW = ("BUSY", "MISCONF", "NOREPLICAS", "UNBLOCKED")
CLASSES_FOR_NOW = ("ClusterDownError", "MasterDownError", "OutOfMemoryError", "ReadOnlyError", "TryAgainError")
"""How a server refuses everybody for a while: the first word of its error, or the class that the client makes of it."""
CLASSES_REJECTED = ("AuthenticationError", "NoPermissionError")
"""Errors that only another user, password or access list ends."""

UNVERIFIED = "CERTIFICATE_VERIFY_FAILED"


class Errors:
    """Turns the errors of the client, ``exceptions`` of its module, into those of the contract."""

    def __init__(self, exceptions: Any, *, label: str) -> None:
        self._exceptions = exceptions
        self._label = label

    @property
    def of_answers(self) -> type[Exception]:
        """The class of errors that are a server's answer to one command."""
        found: type[Exception] = self._exceptions.ResponseError
        return found

    def ask(self, command: Callable[[], T]) -> T:
        """Return what a command returns. Raises BrokerDownError or ConfigurationError."""
        try:
            return command()
        except self._exceptions.RedisError as error:
            raise self.translate(error) from error
        except OSError as error:
            raise BrokerDownError(str(error)) from error

    def is_down(self, error: Exception) -> bool:
        """Tell whether an error says that nobody is served, or nobody answers."""
        return (
            not isinstance(error, self._exceptions.ResponseError)
            or isinstance(error, self._classes(CLASSES_FOR_NOW))
            or str(error).startswith(FOR_NOW)
        )

    def translate(self, error: Exception) -> Exception:
        """Return the error of the contract that stands for one of the client."""
        text = str(error)
        if isinstance(error, self._classes(CLASSES_REJECTED)):
            return ConfigurationError(
                f"{self._label}: expected a user that Redis admits to this stream; it answers: {text}"
            )
        if UNVERIFIED in text:
            return ConfigurationError(
                f"{self._label}: expected a server's certificate that can be verified; name the authority that signed"
                f' it by "options": {{"ca_file": ...}}: {text}'
            )
        return BrokerDownError(text) if self.is_down(error) else error

    def _classes(self, names: tuple[str, ...]) -> tuple[type[Exception], ...]:
        return tuple(getattr(self._exceptions, name) for name in names)
