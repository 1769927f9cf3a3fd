"""``EagerResult``: the result of a task that has run here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .exceptions import TaskFailedError
from .result_base import ResultBase
from .states import FAILURE, PROPAGATE_STATES, SUCCESS


class EagerResult(ResultBase):
    """The result of a task that ``apply()`` has run here."""

    def __init__(self, id: str, value: Any, state: str, traceback: str | None = None, name: str | None = None) -> None:  # noqa: A002 - Celery's name
        self.id = self.task_id = id
        self.result = self.info = value
        self.state = self.status = state
        self.traceback = traceback
        self.name = name

    def ready(self) -> bool:
        """Return True."""
        return True

    def successful(self) -> bool:
        """Tell whether it has succeeded."""
        return self.state == SUCCESS

    def failed(self) -> bool:
        """Tell whether it has failed."""
        return self.state == FAILURE

    def raise_failure(self) -> None:
        """Raise the exception of a task that has failed."""
        if self.state in PROPAGATE_STATES:
            raise self.result if isinstance(self.result, BaseException) else TaskFailedError(str(self.result))

    maybe_throw = maybe_reraise = raise_failure

    def get(self, timeout: float | None = None, propagate: bool = True, *ignored: Any, **_: Any) -> Any:
        """Return the result, or raise the exception."""
        return self.collect(propagate=propagate, callback=None)

    wait = get

    def revoke(self, *ignored: Any, **_: Any) -> None:
        """Do nothing: it has run."""

    def forget(self) -> None:
        """Do nothing: nothing was stored."""

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"

    def collect(self, *, propagate: bool, callback: Callable[[str, Any], object] | None) -> Any:
        """Return the result."""
        if propagate:
            self.raise_failure()
        return self.result
