"""Run tasks here and now: ``apply()``, and every enqueue while the setting task_always_eager is true."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.views.decorators.debug import sensitive_variables

from ...arguments.serialization import decode, dumps
from ...exceptions import Retry as RetryRequest
from .einfo import ExceptionInfo
from .request import Request
from .result import EagerResult
from .run import execute
from .states import FAILURE, SUCCESS
from .utils import uuid


@sensitive_variables()
def apply_task(task: Any, args: Any, kwargs: Any, *, throw: bool, retries: int, headers: Any = None) -> EagerResult:
    """Run a task until it ends, retries without a wait among it, and return the result."""
    task_id = uuid()
    while True:
        request = Request(
            task=task.name, args=args, kwargs=kwargs, id=task_id, correlation_id=task_id, retries=retries,
            headers=dict(headers or {}), called_directly=False, is_eager=True,
        )  # fmt: skip
        try:
            value = execute(task, request)
        except RetryRequest:
            retries += 1
        except Exception as error:
            if throw:
                raise
            return EagerResult(task_id, error, FAILURE, ExceptionInfo(error).traceback, task.name)
        else:
            return EagerResult(task_id, value, SUCCESS, None, task.name)


def through_json(label: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as a worker would get them. Raises SerializationError."""
    stored = json.loads(dumps([list(args), kwargs], what=f"{label}: arguments"))
    read: tuple[list[Any], dict[str, Any]] = tuple(map(decode, stored))
    return read
