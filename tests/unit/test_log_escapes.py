"""Whatever text an error carries, a line of the log stays one line, and a terminal only shows it."""

from __future__ import annotations

import ast
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_jobs
from django_jobs.log_escapes import LOGGERS
from django_jobs.policy.printable import printable, printable_lines
from tests.misbehaving.odd import ODD

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
        for node in ast.walk(ast.parse(path.read_text()))
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
