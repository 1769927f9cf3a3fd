"""What ``@job(chunk=...)`` and the ``enqueue`` of such a job refuse."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs import Chunk, ChunkItem, job, registry
from django_jobs.exceptions import ArgumentsError, ConfigurationError
from django_jobs.policy.chunks import chunk_key
from tests.sampleapp import chunked


@pytest.fixture(autouse=True)
def _own_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": 1_001}, {"size": True}, {"size": 5, "wait": -1}, {"size": 5, "wait": timedelta(hours=1)}]
    + [{"size": 5, "by": "tenant"}, {"size": 5, "by": ("",)}],
)
def test_a_wrong_chunk_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Chunk\((size|wait|by)\)"):
        Chunk(**options)


def test_words_of_other_libraries_are_explained() -> None:
    with pytest.raises(TypeError, match="size"):
        Chunk(batch_size=5)  # type: ignore[call-arg]  # what is tested
    with pytest.raises(ConfigurationError, match="chunk"):
        job(batch_size=5)(print)  # type: ignore[call-overload]  # what is tested


def test_a_function_of_a_chunk_job_takes_the_items_and_nothing_else() -> None:
    def two(jobs: Any, more: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="one parameter, the items"):
        job(chunk=Chunk(5))(two)
    with pytest.raises(ConfigurationError, match="takes_context"):
        job(chunk=Chunk(5), takes_context=True)  # type: ignore[call-overload]  # what is tested
    with pytest.raises(ConfigurationError, match="expected a Chunk"):
        job(chunk=500)  # type: ignore[call-overload]  # what is tested


def test_an_argument_without_the_keys_of_by_is_refused() -> None:
    with pytest.raises(ArgumentsError, match="keys of Chunk"):
        chunked.send.enqueue({"text": "x"})  # type: ignore[typeddict-item]  # what is tested
    with pytest.raises(ArgumentsError):
        chunked.mark.enqueue()  # type: ignore[call-arg]  # what is tested


def test_a_key_is_read_from_the_stored_argument() -> None:
    assert chunk_key('{"argument": {"tenant": 1, "text": "x"}}', ("tenant",)) == "[1]"
    assert chunk_key("{no JSON", ("tenant",)) is None
    assert chunk_key("{no JSON", ()) == ""


def test_marks_say_what_they_expect() -> None:
    item = ChunkItem(7)
    with pytest.raises(TypeError, match="expected an exception"):
        item.fail("text")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(LookupError, match="no context"):
        _ = item.job_id
    assert "7" not in repr(item)
