"""The commonest values of arguments."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs.policy.common_values import MAX_VALUE_CHARS, MAX_VALUES, common_values


@pytest.mark.parametrize(
    ("values", "shared", "different"),
    [
        ([1], [("1", 1)], 1),
        ([1, 2, 3], [], 3),
        ([1, 2, 2, "2", True], [("2", 2)], 4),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], [('{"a": 1, "b": 2}', 2)], 1),
        (["x" * 200] * 2, [('"' + "x" * (MAX_VALUE_CHARS - 2) + "…", 2)], 1),
    ],
)
def test_values_that_jobs_share_are_counted(values: list[Any], shared: list[Any], different: int) -> None:
    (found,) = common_values([{"region": value} for value in values])
    assert (found.name, found.values, found.different, found.number) == ("region", shared, different, len(values))


def test_only_the_commonest_are_kept() -> None:
    (found,) = common_values([{"n": value} for value in range(20) for _ in range(value + 1)])
    assert [text for text, _ in found.values] == [str(19 - at) for at in range(MAX_VALUES)]
