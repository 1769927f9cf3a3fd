"""Run a task: its request, automatic retries and handlers; for a worker, and for ``apply()``.

Handlers run where the function ran, before the end of the run is saved: a process that dies between leaves a job that
runs again. What a handler raises is logged and changes nothing.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from ...conf.database import current_database
from ...context import JobContext
from ...exceptions import Cancel, Discard, Snooze
from ...exceptions import Retry as RetryRequest
from ...policy.metadata import CELERY
from .backoff import autoretry_options
from .einfo import ExceptionInfo
from .exceptions import Ignore, Reject, Retry
from .request import META, STATE, WAIT, Request, as_given, pop, push, request_of
from .states import FAILURE, SUCCESS

logger = logging.getLogger("django_jobs.celery")
_random = random.SystemRandom()


@sensitive_variables()
def run_job(task: Any, names: list[str], context: JobContext, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Run a task as its job: the function that workers call."""
    _wait_behind(context)
    given, keywords = as_given(names, context, args, kwargs)
    request = Request(task=task.name, args=given, kwargs=keywords, context=context, eta=None, expires=None)
    try:
        return execute(task, request)
    except Reject as reject:
        raise (Snooze(0) if reject.requeue else Discard(str(reject))) from reject


def _wait_behind(context: JobContext) -> None:
    """Snooze, once, the job of a signature with a countdown or eta that stood behind others in a chain."""
    kept = context.reserved(CELERY)
    if not isinstance(kept, dict) or WAIT not in kept:
        return
    wait = kept[WAIT]
    context.save_reserved(CELERY, {key: value for key, value in kept.items() if key != WAIT})
    seconds = (datetime.fromisoformat(wait) - timezone.now()).total_seconds() if isinstance(wait, str) else wait
    if seconds > 0:
        raise Snooze(seconds)


@sensitive_variables()
def execute(task: Any, request: Request) -> Any:
    """Run a task under ``request``, with its handlers; return its result. Raises what the engine is to see."""
    push(task, request)
    try:
        try:
            task.before_start(request.id, request.args, request.kwargs)
            value = call(task, request)
            if request.pending_retry is not None:
                raise request.pending_retry
        except Ignore:
            return None
        except Exception as error:
            _report(task, request, error)
            raise
        _handle(task, request, "on_success", value)
        _after_return(task, request, SUCCESS, value, None)
        return value
    finally:
        pop()


@sensitive_variables()
def call(task: Any, request: Request) -> Any:
    """Call a task; an exception of ``autoretry_for`` becomes a retry."""
    try:
        return task(*request.args, **request.kwargs)
    except (Ignore, Reject, RetryRequest, Snooze, Cancel, Discard):
        raise
    except Exception as error:
        if not isinstance(error, tuple(task.autoretry_for)) or isinstance(error, tuple(task.dont_autoretry_for)):
            raise
        options = autoretry_options(task, retries=request.retries, random=_random)
        raise task.retry(exc=error, throw=False, **options) from error


@sensitive_variables()
def call_directly(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the function of a task: under the request of the run that this call belongs to, or of a plain call."""
    request = request_of(task)
    if not request.called_directly and not request.is_entered:
        request.is_entered = True
        return task.run(*args, **kwargs)
    push(task, Request(task=task.name, args=args, kwargs=kwargs))
    try:
        return task.run(*args, **kwargs)
    finally:
        pop()


def save_state(request: Request, state: str, meta: Any) -> None:
    """Keep a state of the task's own, and show how far it is if ``meta`` tells."""
    context = request.context
    if context is None:
        return
    kept = context.reserved(CELERY)
    context.save_reserved(CELERY, {**(kept if isinstance(kept, dict) else {}), STATE: state, META: meta})
    if isinstance(meta, dict) and type(meta.get("current")) is int:
        total = meta.get("total")
        context.set_progress(meta["current"], total if type(total) is int else None)


@sensitive_variables()
def _report(task: Any, request: Request, error: Exception) -> None:
    """Tell the handlers how a run has ended, if that ends or repeats the task."""
    if isinstance(error, (Snooze, Cancel)) or (isinstance(error, Reject) and error.requeue):
        return
    if isinstance(error, RetryRequest) and (request.context is None or _is_left(request.context)):
        cause = error.exc if isinstance(error, Retry) else error
        _handle(task, request, "on_retry", cause, ExceptionInfo(error))
        return
    if not request.is_eager and _is_interruption(error):
        return  # the attempt is given back
    einfo = ExceptionInfo(error)
    _handle(task, request, "on_failure", error, einfo)
    _after_return(task, request, FAILURE, error, einfo)


def _is_interruption(error: Exception) -> bool:
    from ...worker.execution.interruption import is_interruption  # loads models

    return is_interruption(error, using=current_database())


def _is_left(context: JobContext) -> bool:
    return context.attempt < context.max_attempts


@sensitive_variables()
def _handle(task: Any, request: Request, name: str, value: Any, *einfo: Any) -> None:
    arguments = (value, request.id, request.args, request.kwargs, *einfo)
    _guarded(task, request, name, getattr(task, name), arguments)


@sensitive_variables()
def _after_return(task: Any, request: Request, state: str, value: Any, einfo: Any) -> None:
    arguments = (state, value, request.id, request.args, request.kwargs, einfo)
    _guarded(task, request, "after_return", task.after_return, arguments)


@sensitive_variables()
def _guarded(task: Any, request: Request, name: str, handler: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        handler(*arguments)
    except Exception:
        if request.is_eager:
            raise
        logger.exception("task %s[%s]: %s raised %s", task.name, request.id, name, sys.exc_info()[0])
