"""``Task``: a function that can be called, enqueued, and retried; its job is ``task.job``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from ...conf import get_settings
from ...conf.database import use_database
from ...database_choice import default_database
from . import canvas
from .arguments import as_arguments
from .conf import Conf
from .eager import apply_task, through_json
from .exceptions import MaxRetriesExceededError, Retry, UnsupportedError, raise_with_context
from .job import CeleryJob
from .options import as_aware, using_options
from .request import Request, pop, push, request_of
from .result import AsyncResult, EagerResult
from .run import call_directly, save_state


class Task:
    """Base of all tasks, and of the classes that ``base=`` takes. Attributes are the defaults of options.

    ``job_options``: options of ``@job`` that Celery does not have, such as ``{"concurrency": 2}``.
    """

    name: str = ""
    app: Any = None
    job: CeleryJob

    queue: str | None = None
    priority: int | None = None
    max_retries: int | None = 3
    default_retry_delay: float = 180
    autoretry_for: tuple[type[Exception], ...] = ()
    dont_autoretry_for: tuple[type[Exception], ...] = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: float | bool = False
    retry_backoff_max: int = 600
    retry_jitter: bool = True
    rate_limit: str | float | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    expires: Any = None
    job_options: Mapping[str, Any] = {}

    MaxRetriesExceededError = MaxRetriesExceededError
    abstract = True

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work: the decorated function, or a method of a class."""
        raise NotImplementedError(f"task {self.name}: expected a method run()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now; no queue, no retry."""
        return call_directly(self, args, kwargs)

    @property
    def request(self) -> Request:
        """The run of this task here; outside of one ``called_directly`` is true."""
        return request_of(self)

    def push_request(self, *args: Any, **values: Any) -> None:
        """Have ``self.request`` return these values, for tests."""
        push(self, Request(task=self.name, **{"called_directly": False, **values}))

    def pop_request(self) -> None:
        """Take back the newest ``push_request``."""
        pop()

    def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
        """Do something before each run."""

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        """Do something after a run that has succeeded."""

    def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Do something after a run that is to be repeated."""

    def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Do something after the last run, if it has failed."""

    def after_return(self, status: str, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        """Do something after the last run."""

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a job in the caller's transaction and return its result."""
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Enqueue a job in the caller's transaction and return its result.

        countdown, eta, expires, queue, priority, headers. Raises ArgumentsError, a TypeError, for arguments that do not
        fit, and UnsupportedError for options that are not there.
        """
        given, keywords = as_arguments(f"task {self.name}", args, kwargs)
        conf = self.conf
        if conf.task_always_eager:
            self.job.signature.bind(given, keywords)
            positions, named = through_json(self.name, given, keywords)
            return self.apply(positions, named, **options)
        return AsyncResult.of(self.job_with(options).enqueue(*given, **keywords))

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Enqueue a job that exists once the caller's transaction has committed."""
        self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(self, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        """Do so with options. In the transaction itself, if jobs can be in the default database only.

        The transaction is that of the default database; if there is none, the one at hand in a database of jobs.
        """
        settings = get_settings()
        if settings.aliases == (DEFAULT_DB_ALIAS,) and not self.conf.task_always_eager:
            self.apply_async(args, kwargs, **options)
        else:
            here = default_database()
            caller = DEFAULT_DB_ALIAS if connections[DEFAULT_DB_ALIAS].in_atomic_block else here
            transaction.on_commit(lambda: self._apply_in(here, args, kwargs, options), using=caller)

    def _apply_in(self, database: str, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
        """Enqueue where the transaction was that has committed, unless something else says another database."""
        with use_database(database):
            self.apply_async(args, kwargs, **options)

    def apply(
        self, args: Any = None, kwargs: Any = None, throw: bool | None = None, retries: int = 0, **options: Any
    ) -> EagerResult:
        """Run the task here, with its handlers and retries, and return the result; nothing is enqueued."""
        using_options(f"task {self.name}", options, self.conf)
        throws = bool(self.conf.task_eager_propagates) if throw is None else throw
        headers = options.get("headers")
        given, keywords = as_arguments(f"task {self.name}", args, kwargs)
        return apply_task(self, given, keywords, throw=throws, retries=retries, headers=headers)

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Raise Retry: the job runs again after ``countdown`` seconds, or at ``eta``; default ``default_retry_delay``.

        After the last retry raise ``exc``, or MaxRetriesExceededError. In a plain call raise ``exc``. With ``throw``
        false return the exception; the job is retried when the function has returned.
        """
        request, current = self.request, sys.exception()
        if request.called_directly:
            raise_with_context(exc or Retry("Task can be retried"), current)
        self._refuse_changes(request, args, kwargs, options)
        limit = self.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            if exc is not None:
                raise_with_context(exc, current)
            raise self.MaxRetriesExceededError(
                f"task {self.name}[{request.id}]: no retry is left after {request.retries}",
                task_args=request.args,
                task_kwargs=request.kwargs,
            )
        if request.context is not None:
            request.context.allow_attempts(request.retries + 2)
        wait: Any = countdown if countdown is not None or eta is None else as_aware(eta, self.conf)
        request.pending_retry = Retry(exc=exc, when=self.default_retry_delay if wait is None else wait)
        if throw:
            raise request.pending_retry
        return request.pending_retry

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None, **_: Any) -> None:
        """Keep a state of the task's own, which its result shows while it runs; ``current`` and ``total`` are shown."""
        if task_id not in (None, self.request.id):
            raise UnsupportedError(f"task {self.name}: update_state() is for the running task, got task_id={task_id!r}")
        save_state(self.request, state or "PROGRESS", meta)

    def s(self, *args: Any, **kwargs: Any) -> canvas.Signature:
        """Return a call with these arguments, for chains, groups and chords."""
        return canvas.Signature(self, args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> canvas.Signature:
        """Return a call that is given no result of the step before."""
        return canvas.Signature(self, args, kwargs, immutable=True)

    def signature(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> canvas.Signature:
        """Return a call with arguments and options."""
        return canvas.Signature(self, args, kwargs, *rest, **options)

    subtask = signature

    def AsyncResult(self, task_id: str, **_: Any) -> AsyncResult:  # noqa: N802 - Celery's name
        """Return the result of a job by its id."""
        return AsyncResult(task_id)

    def chunks(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise UnsupportedError."""
        canvas.chunks()

    def map(self, *args: Any) -> NoReturn:
        """Raise UnsupportedError."""
        canvas.xmap()

    def starmap(self, *args: Any) -> NoReturn:
        """Raise UnsupportedError."""
        canvas.xstarmap()

    def replace(self, *args: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("self.replace() is not supported: enqueue the other task, or write both as a chain")

    def add_to_chord(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("self.add_to_chord() is not supported: a job in a Batch adds to it by current_batch()")

    def send_event(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("self.send_event() is not supported: current_job().log(...) keeps a line on the attempt")

    @property
    def conf(self) -> Conf:
        """The settings of the app."""
        conf: Conf = self.app.conf_when_ready
        return conf

    def job_with(self, options: Mapping[str, Any]) -> CeleryJob:
        """Return the job with the options of one call. Raises UnsupportedError and ConfigurationError."""
        using = using_options(f"task {self.name}", options, self.conf)
        return self.job.using(**using) if using else self.job  # type: ignore[return-value]  # of its own class

    def _refuse_changes(self, request: Request, args: Any, kwargs: Any, options: Mapping[str, Any]) -> None:
        changed = [name for name, value in options.items() if value is not None and name != "serializer"]
        if args is not None and list(args) != request.args:
            changed.append("args")
        if kwargs is not None and dict(kwargs) != request.kwargs:
            changed.append("kwargs")
        if changed:
            raise UnsupportedError(
                f"task {self.name}: retry({changed[0]}=...) is not supported: the same job runs again; to change it,"
                " enqueue another job and return"
            )

    def __repr__(self) -> str:
        return f"<@task: {self.name}>"

    def __or__(self, other: Any) -> canvas.chain:
        return canvas.chain(self.s(), other)
