"""The public operations: documented, and called alike."""

from __future__ import annotations

import inspect

import pytest

from django_jobs import operations

FUNCTIONS = [name for name in operations.__all__ if inspect.isfunction(getattr(operations, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_says_what_it_does_and_names_its_database(name: str) -> None:
    function = getattr(operations, name)
    parameters = inspect.signature(function).parameters

    assert function.__doc__
    assert function.__name__ == name
    assert parameters["using"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", ["cancel", "cancel_batch", "redrive", "run_now", "retry", "purge", "resolve"])
def test_an_operation_of_staff_takes_a_target_and_their_name(name: str) -> None:
    parameters = list(inspect.signature(getattr(operations, name)).parameters.values())

    assert parameters[0].name == "target"
    assert parameters[1].name == "by"
    assert {parameter.kind for parameter in parameters[1:]} == {inspect.Parameter.KEYWORD_ONLY}
