"""Whatever text an error carries, a line of the log stays one line, and a terminal only shows it."""

from __future__ import annotations

import ast
import io
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_jobs
from django_jobs.exceptions import Cancel, JobTimeoutError
from django_jobs.log_records import record_fields
from django_jobs.loggers import LOGGERS
from django_jobs.policy.printable import printable, printable_lines
from tests.misbehaving.odd import ODD
from tests.sources import parse

FORGED = "\x1b[2J\x9b31mpaid\r\n23:59:59 INFO all is well\x00\x7f\u2028\u202e\u061cgnp.exe\ud800"


@pytest.fixture(params=LOGGERS)
def log(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """One of the engine's loggers with a handler of a project: a plain stream and formatter."""
    logger, stream = logging.getLogger(request.param), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def _assert_harmless(text: str, *, lines: int) -> None:
    assert len(text.splitlines()) == lines
    assert all(character.isprintable() or character in "\n\t" for character in text)
    assert "all is well" in text


class _WithoutText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def test_arguments_of_a_record_are_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.error("job %s (%r) failed: %s after %.1f s", 7, FORGED, ValueError(FORGED), 1.25)
    _assert_harmless(stream.getvalue(), lines=1)
    assert "\\x1b[2J\\x9b31mpaid\\r\\n23:59:59" in stream.getvalue()
    assert stream.getvalue().endswith("after 1.2 s\n")


def test_a_message_without_arguments_and_one_with_names_are_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.error(FORGED)
    logger.error("%(text)s", {"text": FORGED})
    _assert_harmless(stream.getvalue(), lines=2)


def test_the_messages_in_a_traceback_are_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    for error in (KeyError(FORGED), ExceptionGroup(FORGED, [ValueError(FORGED)])):
        error.add_note(FORGED)
        try:
            try:
                raise RuntimeError(FORGED)
            except RuntimeError:
                raise error from None
        except Exception:
            logger.exception("the hook failed")
    text = stream.getvalue()
    assert not any(line.startswith("23:59:59") for line in text.splitlines())
    assert "in test_the_messages_in_a_traceback_are_escaped\n" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_traceback_without_controls_is_left_to_the_formatter(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("plain")
    except ValueError:
        logging.getLogger(LOGGERS[0]).exception("the hook failed")
    record = caplog.records[-1]
    assert record.exc_info is not None
    assert "ValueError: plain" in caplog.text


def test_an_exception_that_has_no_text_is_logged(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise _WithoutText
    except _WithoutText:
        logger.exception("the hook failed")
    assert "the hook failed" in stream.getvalue()


def test_whatever_an_exception_is_it_can_be_logged(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    for name, make in ODD.items():
        try:
            raise make()
        except BaseException:
            logger.exception("the hook failed by %s", name)
        assert f"the hook failed by {name}" in stream.getvalue()


def test_every_logger_of_the_package_escapes() -> None:
    names = {
        node.args[0].value
        for path in Path(django_jobs.__file__).parent.rglob("*.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "getLogger"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert names - {"django_jobs"} == set(LOGGERS)


def test_printable_text_is_unchanged() -> None:
    text = 'Grüße, 日本語 "quoted" \\x1b 🎉'
    assert printable(text) == text
    assert printable_lines(f"{text}\n\t{text}") == f"{text}\n\t{text}"
    assert printable("a\tb\nc") == "a\\tb\\nc"


def test_a_long_traceback_is_cut(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError:
        logger.exception("the hook failed")
    assert len(stream.getvalue()) < 60_000
    assert "characters left out" in stream.getvalue()


@pytest.mark.parametrize("log", ["django_jobs.worker"], indirect=True)
def test_a_giant_message_is_cut_before_it_is_escaped(log: tuple[logging.Logger, io.StringIO]) -> None:
    """To escape millions of characters one by one takes seconds, in which no other thread runs."""
    logger, stream = log
    giant, began = "\x1b" * 3_000_000 + "the end", time.process_time()
    try:
        raise ValueError(giant)
    except ValueError as error:
        logger.exception("the hook failed: %s, %s", giant, error)
    logger.error(giant)
    assert time.process_time() - began < 2
    assert len(stream.getvalue()) < 1_000_000
    assert stream.getvalue().count("the end") == 4


@pytest.mark.parametrize("log", ["django_jobs.worker"], indirect=True)
def test_a_message_of_line_ends_leaves_the_lines_of_the_traceback(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError("\n")
    except ValueError:
        logger.exception("the hook failed")
    assert len(stream.getvalue().splitlines()) > 3


def test_the_frames_of_a_record_are_those_that_it_was_given(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        logger.error("the hook failed", exc_info=(ValueError, error, None))
    assert "all is well" in stream.getvalue()
    assert "in test_the_frames" not in stream.getvalue()


@pytest.fixture
def record_factory() -> Iterator[None]:
    """The recipe of Python's cookbook, which many projects use for request ids: fields on every record."""
    before = logging.getLogRecordFactory()

    def make(*args: object, **options: object) -> logging.LogRecord:
        record = before(*args, **options)
        record.request_id, record.job_id = "of the project", "of the project"
        return record

    logging.setLogRecordFactory(make)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("record_factory")
def test_a_record_factory_may_set_the_fields_of_jobs(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    for handler in logger.handlers:
        handler.setFormatter(logging.Formatter("%(request_id)s|%(job_id)s|%(queue_name)s|%(message)s"))
    logger.warning("failed", extra=record_fields(job_id=7, queue_name="mail"))
    logger.warning("failed", extra=record_fields(request_id="abc"))
    assert stream.getvalue().splitlines() == ["of the project|7|mail|failed", "abc|of the project|None|failed"]


class _Broken(logging.Handler):
    """A handler that writes to a database, or another service, and does not expect an outage."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ConnectionError("no log server")


def test_a_handler_that_raises_does_not_break_what_logs(
    log: tuple[logging.Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, _ = log
    broken = _Broken()
    logger.addHandler(broken)
    try:
        logger.error("the hook failed by %s", FORGED)
    finally:
        logger.removeHandler(broken)
    said = capsys.readouterr().err
    assert "ConnectionError: no log server" in said
    assert all(character.isprintable() or character == "\n" for character in said)


@pytest.mark.parametrize("error", [JobTimeoutError(), Cancel(), KeyboardInterrupt()])
def test_what_ends_a_job_from_outside_ends_it_in_a_handler(
    error: BaseException, log: tuple[logging.Logger, io.StringIO]
) -> None:
    logger, _ = log

    class Interrupted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise error

    interrupted = Interrupted()
    logger.addHandler(interrupted)
    try:
        with pytest.raises(type(error)):
            logger.error("the hook failed")
    finally:
        logger.removeHandler(interrupted)
