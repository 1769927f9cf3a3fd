"""The shop does the same on RQ and here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from tests.private.redis import PrivateRedis

DONE = [
    ("confirmed", (7, "de")),
    ("filed", ("invoice-7.pdf", "Ada")),
    ("paid", 7),
    ("payment failed", 7),
    ("reserved", 7),
    ("shipped", 7),
]


@pytest.fixture
def server() -> Iterator[PrivateRedis]:
    """A Redis of this test's own."""
    server = PrivateRedis()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.mark.slow
def test_the_original_does_its_work(load: Callable[[str], ModuleType], server: PrivateRedis, done: list[Any]) -> None:
    rq = pytest.importorskip("rq", reason="installed on one version of Python only")
    original = load("rq.original")
    with server.connect() as connection:
        original.queue = rq.Queue("shop", connection=connection)
        reminder = original.place(7)
        rq.SimpleWorker([original.queue], connection=connection).work(burst=True)

        assert sorted(done) == DONE
        assert reminder.get_status() == "scheduled"


@pytest.mark.django_db
def test_the_moved_project_does_the_same(load: Callable[[str], ModuleType], done: list[Any]) -> None:
    moved = load("rq.moved")
    reminder = moved.place(7)
    drain()

    assert sorted(done) == DONE
    reminder.refresh_from_db()
    assert reminder.state == State.SCHEDULED
    rendered = Job.objects.get(name=moved.render_invoice.name)
    assert (rendered.result, rendered.metadata) == ("invoice-7.pdf", {"customer": "Ada", "pages": 2})
