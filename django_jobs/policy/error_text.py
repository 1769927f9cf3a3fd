"""Write errors for people: ``ValueError: no card``. Stored is the path of a class, ``builtins.ValueError``."""

from __future__ import annotations


def class_text(error_class: str) -> str:
    """Return the path of an exception's class as a traceback shows it: without the module of Python's own."""
    return error_class.removeprefix("builtins.")


def class_name(error_class: str) -> str:
    """Return the name of a class without its module, for a narrow column."""
    return error_class.rpartition(".")[2]


def error_text(error_class: str, message: str = "") -> str:
    """Return ``Class: message``, or one of the two if the other is empty."""
    return ": ".join(filter(None, (class_text(error_class), message)))
