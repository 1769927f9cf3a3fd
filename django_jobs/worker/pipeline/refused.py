"""Finished runs without the text that a database refuses: their outcome is saved all the same.

A column in utf8mb3, for example, takes no emoji.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...context import MAX_PROGRESS_MESSAGE_LENGTH
from ...models.attempt import MAX_ERROR_CLASS_LENGTH
from ...policy.decide import Decision
from ...policy.log_lines import LogExcerpt
from ...policy.outcomes import AttemptOutcome, DeathReason, Error, UnraisedError
from ...policy.states import State
from ...store.dialects.base.jobs import FinishedRun
from ..execution.classify import RESULT_LOST


def without_refused_text(run: FinishedRun, reason: Exception) -> Iterator[FinishedRun]:
    """Yield versions of a run with the same outcome and less of its text: escaped, then replaced by the reason.

    Only a run that did not start for lack of permits has none: it cannot wait for limits whose keys are refused.
    """
    decision = run.decision
    escaped = replace(decision, result=_escaped_json(decision.result), error=_escaped(decision.error))
    if escaped != decision:
        yield run._replace(decision=escaped)
    replaced = replace(
        decision,
        result=None if decision.result is None else RESULT_LOST.result,
        result_retention=None,
        error=_replaced(decision.error, reason),
    )
    if replaced != decision:
        yield run._replace(decision=replaced)
    if decision.needs:
        yield _dead(run, reason)


def escaped_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a progress update with their text in ASCII."""
    return {
        name: _as_ascii(value)[:MAX_PROGRESS_MESSAGE_LENGTH] if isinstance(value, str) else value
        for name, value in fields.items()
    }


def escaped_lines(excerpt: LogExcerpt) -> LogExcerpt:
    """Return the lines of a log in ASCII."""
    return excerpt._replace(
        lines=[line._replace(logger=_as_ascii(line.logger), message=_as_ascii(line.message)) for line in excerpt.lines]
    )


def _escaped_json(text: str | None) -> str | None:
    """Return the same JSON in ASCII."""
    if text is None or text.isascii():
        return text
    try:
        return json.dumps(json.loads(text), separators=(",", ":"))
    except ValueError:
        return text


def _escaped(error: Error | None) -> Error | None:
    if error is None:
        return None
    return replace(
        error,
        error_class=_as_ascii(error.error_class)[:MAX_ERROR_CLASS_LENGTH],
        message=_as_ascii(error.message),
        traceback=_as_ascii(error.traceback),
    )


def _replaced(error: Error | None, reason: Exception) -> Error | None:
    if error is None:
        return None
    return Error(
        error_class=_as_ascii(error.error_class)[:MAX_ERROR_CLASS_LENGTH],
        message=f"(the text of this error cannot be stored: {type(reason).__name__})",
        traceback="",
        fingerprint=error.fingerprint,
    )


def _dead(run: FinishedRun, reason: Exception) -> FinishedRun:
    message = f"the limits of this job cannot be stored: {type(reason).__name__}"
    decision = Decision(
        state=State.DEAD,
        attempt_outcome=AttemptOutcome.UNREADABLE,
        error=Error.unraised(UnraisedError.NOT_STORABLE, message),
        death=DeathReason.UNREADABLE,
    )
    return run._replace(decision=decision, fingerprint="")


def _as_ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("ascii")
