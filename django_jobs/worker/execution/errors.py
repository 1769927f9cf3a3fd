"""Turn an exception into the Error that is stored: text of bounded length that every database accepts."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

from ...models.attempt import MAX_ERROR_CLASS_LENGTH
from ...policy.fingerprint import fingerprint
from ...policy.outcomes import Error
from ...policy.truncate import truncate

MAX_MESSAGE_LENGTH = 10_000
MAX_TRACEBACK_LENGTH = 50_000

_ENGINE_DIR = str(Path(__file__).parents[1])
_NON_PROJECT_PREFIXES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parents[2]), "<"}
)


def describe_exception(exception: BaseException, *, job_name: str, message: str | None = None) -> Error:
    """Return the stored form of ``exception``. Never raises, whatever its ``__str__`` does.

    The traceback starts at the first frame below the engine's own.
    """
    kind = type(exception)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = truncate(escape_unstorable(_message(exception) if message is None else message), MAX_MESSAGE_LENGTH)
    frames = _skip_engine_frames(exception.__traceback__)
    return Error(
        error_class=escape_unstorable(name)[:MAX_ERROR_CLASS_LENGTH],
        message=text,
        traceback=truncate(escape_unstorable(_format(exception, frames)), MAX_TRACEBACK_LENGTH),
        fingerprint=fingerprint(job_name=job_name, error_class=name, message=text, frame=_project_frame(frames)),
    )


def is_project_file(path: str) -> bool:
    """Tell whether a source file belongs to the project: not to Python, a package or django_jobs."""
    return not path.startswith(_NON_PROJECT_PREFIXES)


def escape_unstorable(text: str) -> str:
    """Return ``text`` with NUL and lone surrogates, which PostgreSQL refuses, written as escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _message(exception: BaseException) -> str:
    try:
        return str(exception)
    except Exception as error:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"(its __str__ raised {type(error).__name__})"


def _format(exception: BaseException, frames: TracebackType | None) -> str:
    try:
        return "".join(traceback.format_exception(type(exception), exception, frames))
    except Exception as error:  # noqa: BLE001 - as above, in a chained exception or a source file
        return f"(the traceback could not be written: {type(error).__name__})"


def _skip_engine_frames(frames: TracebackType | None) -> TracebackType | None:
    first = frames
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_ENGINE_DIR):
        first = first.tb_next
    return first or frames


def _project_frame(frames: TracebackType | None) -> str:
    """Return ``module:function`` of the innermost frame in a project file."""
    found = ""
    while frames is not None:
        code = frames.tb_frame.f_code
        if is_project_file(code.co_filename):
            found = f"{frames.tb_frame.f_globals.get('__name__', '')}:{code.co_qualname}"
        frames = frames.tb_next
    return found
