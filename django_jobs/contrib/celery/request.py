"""``self.request``: the run of a task, and the stack of tasks that run in this thread."""

from __future__ import annotations

import socket
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from ...context import JobContext
from ...policy.metadata import CELERY
from ..tasks.ids import result_id

if TYPE_CHECKING:
    from .exceptions import Retry

ARGS, STATE, META, WAIT = "args", "state", "meta", "wait"
"""Keys of what is kept in the metadata of a job: how many arguments were given by position; a state of its own; how
long it waits, in seconds or until an instant, once the tasks before it have succeeded."""

_NOT_KEPT = {
    "root_id": "the jobs of a chain or a chord are one graph in the admin",
    "parent_id": "the jobs of a chain or a chord are one graph in the admin",
    "group": "use a Batch, and django_jobs.batches.current_batch()",
    "chain": "the jobs of a chain are enqueued together",
    "chord": "the jobs of a chord are enqueued together",
    "callbacks": "use a chain",
    "errbacks": "use on_failure of a base class",
    "reply_to": "read the result with AsyncResult(id)",
    "children": "jobs do not record what they enqueue",
}


class Request:
    """The run of a task, as the task asks about it. Outside of one, and in a plain call, ``called_directly`` is true.

    ``headers``: the dict that ``apply_async(headers=...)`` was given, which is the job's metadata; each is also an
    attribute.
    """

    def __init__(
        self,
        *,
        task: str = "",
        args: Any = (),
        kwargs: Any = None,
        context: JobContext | None = None,
        **values: Any,
    ) -> None:
        self.task = task
        self.args = list(args)
        self.kwargs = dict(kwargs or {})
        self.context = context
        self.id: str | None = None
        self.retries = 0
        self.headers: dict[str, Any] = {}
        self.called_directly, self.is_eager = context is None, False
        self.delivery_info: dict[str, Any] = {}
        self.hostname = _hostname()
        self.correlation_id: str | None = None
        self.pending_retry: Retry | None = None
        self.is_entered = False
        if context is not None:
            self.id = self.correlation_id = result_id(context.job_id, database=context.database)
            self.retries = context.attempt - 1
            self.headers = dict(context.metadata)
            self.delivery_info = {"routing_key": context.queue_name, "priority": context.priority}
        vars(self).update(values)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, ``default`` if there is none."""
        return getattr(self, name, default)

    def __getattr__(self, name: str) -> Any:
        headers = vars(self).get("headers", {})
        if name in headers:
            return headers[name]
        return _refuse(name)

    def __repr__(self) -> str:
        """Leave the arguments out: they may be secret."""
        return f"<request of {self.task} [{self.id}]>"


@cache
def _hostname() -> str:
    return socket.gethostname()


def _refuse(name: str) -> NoReturn:
    way = f"; {_NOT_KEPT[name]}" if name in _NOT_KEPT else ""
    raise AttributeError(f"request has no attribute {name!r}{way}")


def as_given(names: list[str], context: JobContext, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], Any]:
    """Return the arguments of a job as its caller gave them: ``names`` are the parameters that ``args`` begin with."""
    kept = context.reserved(CELERY)
    number = kept.get(ARGS) if isinstance(kept, dict) else None
    if type(number) is not int or not 0 <= number < len(args) or len(args) > len(names):
        return args, kwargs
    return args[:number], {**dict(zip(names[number:], args[number:], strict=False)), **kwargs}


_stack: ContextVar[tuple[tuple[Any, Request], ...]] = ContextVar("django_jobs_celery_stack", default=())
_NONE = Request()


def push(task: Any, request: Request) -> None:
    """Make ``request`` the current one of ``task`` in this thread."""
    _stack.set((*_stack.get(), (task, request)))


def pop() -> None:
    """Take the newest request off."""
    _stack.set(_stack.get()[:-1])


def request_of(task: Any) -> Request:
    """Return the newest request of a task here; an empty one outside of its runs."""
    return next((request for known, request in reversed(_stack.get()) if known is task), _NONE)


def current() -> tuple[Any, Request] | None:
    """Return the task that runs here, and its request."""
    stack = _stack.get()
    return stack[-1] if stack else None
