"""Turn an exception into the Error that is stored: text of bounded length that every database accepts."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

from ...log_records import ExceptionInfo
from ...models.attempt import MAX_ERROR_CLASS_LENGTH
from ...policy.error_text import class_text
from ...policy.fingerprint import fingerprint
from ...policy.outcomes import Error
from ...policy.printable import escape_unstorable
from ...policy.truncate import truncate

MAX_MESSAGE_LENGTH = 10_000
MAX_TRACEBACK_LENGTH = 50_000

_MODULE = type.__dict__["__module__"].__get__
_QUALNAME = type.__dict__["__qualname__"].__get__
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_ENGINE_DIR = str(Path(__file__).parents[1])
_NON_PROJECT_PREFIXES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parents[2]), "<"}
)


def describe_exception(exception: BaseException, *, job_name: str, message: str | None = None) -> Error:
    """Return the stored form of ``exception``. Never raises, whatever its class and its methods do.

    The traceback starts at the first frame below the engine's own.
    """
    try:
        return _describe(exception, job_name=job_name, message=message)
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything
        text = f"(the exception could not be described: {class_text(_class_path(type(error)))})"
        name = _class_path(type(exception))
        return Error(
            error_class=name,
            message=text,
            traceback="",
            fingerprint=fingerprint(job_name=job_name, error_class=name, message=text),
        )


def exception_info(exception: BaseException) -> ExceptionInfo:
    """Return what a logger takes as ``exc_info``. Never raises.

    As in the stored form, the traceback starts at the first frame below the engine's own; there may be none.
    """
    return type(exception), exception, _skip_engine_frames(traceback_of(exception))


def message_of(exception: BaseException) -> str:
    """Return the text of an exception, storable and of any length. Never raises."""
    try:
        text = str(exception)
    except BaseException as error:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"(its __str__ raised {class_text(_class_path(type(error)))})"
    return escape_unstorable(text)


def traceback_of(exception: BaseException) -> TracebackType | None:
    """Return the interpreter's own record; a class may define an attribute of that name over it."""
    frames: TracebackType | None = _traceback_of(exception)
    return frames


def is_project_file(path: str) -> bool:
    """Tell whether a source file belongs to the project: not to Python, a package or django_jobs."""
    return not path.startswith(_NON_PROJECT_PREFIXES)


def _describe(exception: BaseException, *, job_name: str, message: str | None) -> Error:
    name = _class_path(type(exception))
    text = truncate(message_of(exception) if message is None else message, MAX_MESSAGE_LENGTH)
    whole = traceback_of(exception)
    frames = _skip_engine_frames(whole) or whole
    return Error(
        error_class=name,
        message=text,
        traceback=truncate(escape_unstorable(_format(exception, frames)), MAX_TRACEBACK_LENGTH),
        fingerprint=fingerprint(job_name=job_name, error_class=name, message=text, frame=_project_frame(frames)),
    )


def _class_path(kind: type[BaseException]) -> str:
    """Return the path as Python knows it; a metaclass may lie about it, or raise."""
    try:
        full = f"{_MODULE(kind)}.{_QUALNAME(kind)}"
    except BaseException:  # noqa: BLE001 - ``__module__`` may be any object
        full = "(a class without a name)"
    return escape_unstorable(full)[:MAX_ERROR_CLASS_LENGTH]


def _format(exception: BaseException, frames: TracebackType | None) -> str:
    try:
        return "".join(traceback.format_exception(type(exception), exception, frames))
    except BaseException as error:  # noqa: BLE001 - as above, in a chained exception or a source file
        return f"(the traceback could not be written: {class_text(_class_path(type(error)))})"


def _skip_engine_frames(frames: TracebackType | None) -> TracebackType | None:
    first = frames
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_ENGINE_DIR):
        first = first.tb_next
    return first


def _project_frame(frames: TracebackType | None) -> str:
    """Return ``module:function`` of the innermost frame in a project file."""
    found = ""
    while frames is not None:
        code = frames.tb_frame.f_code
        if is_project_file(code.co_filename):
            found = f"{frames.tb_frame.f_globals.get('__name__', '')}:{code.co_qualname}"
        frames = frames.tb_next
    return found
