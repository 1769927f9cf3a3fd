from __future__ import annotations

import pytest

from django_jobs.policy.error_text import class_name, class_text, error_text


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("builtins.ValueError", "ValueError", "ValueError"),
        ("shop.errors.NoCard", "shop.errors.NoCard", "NoCard"),
        ("shop.builtins.NoCard", "shop.builtins.NoCard", "NoCard"),
        ("ValueError", "ValueError", "ValueError"),
        ("", "", ""),
    ],
)
def test_a_class_of_python_is_written_without_its_module(path: str, text: str, name: str) -> None:
    assert class_text(path) == text
    assert class_name(path) == name


def test_an_error_is_its_class_and_its_message() -> None:
    assert error_text("builtins.ValueError", "no card") == "ValueError: no card"
    assert error_text("builtins.ValueError") == "ValueError"
    assert error_text("", "no card") == "no card"
