"""Positions of logs move from where a batch was read, and partitions have one owner at a time."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from django_jobs.models import MessageSource, SourcePartition
from django_jobs.store.dialects import open_dialect
from django_jobs.store.messages.positions import (
    claim_partitions,
    ensure_partitions,
    free_partitions,
    move_position,
    release_partitions,
    stop_partition,
)
from django_jobs.store.messages.sources import ensure_source, pause_source, resume_source
from tests.concurrency import run_together
from tests.factories import ago

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def source() -> MessageSource:
    source = ensure_source("events", "orders", "")
    ensure_partitions(source.pk, {"0": "10", "1": "0"})
    ensure_partitions(source.pk, {"0": "99", "2": "5"})
    return source


def claim(source: MessageSource, owner: UUID, *partitions: str) -> dict[str, str]:
    return claim_partitions(source.pk, owner, take=partitions, seconds=30)


def test_a_position_moves_only_from_where_the_batch_was_read(source: MessageSource) -> None:
    assert move_position(source.pk, "0", read_from="10", next_position="20")
    assert not move_position(source.pk, "0", read_from="10", next_position="30")
    assert SourcePartition.objects.get(source=source, partition="0").next_position == "20"


def test_of_two_that_read_the_same_batch_one_moves_it(source: MessageSource) -> None:
    def move() -> bool:
        with open_dialect()[0].write_transaction(connection):
            return move_position(source.pk, "0", read_from="10", next_position="20")

    assert sorted(run_together(move, move)) == [False, True]


def test_a_move_that_is_rolled_back_did_not_happen(source: MessageSource) -> None:
    with transaction.atomic():
        move_position(source.pk, "0", read_from="10", next_position="20")
        transaction.set_rollback(True)
    assert move_position(source.pk, "0", read_from="10", next_position="11")


def test_a_partition_is_taken_by_one_until_its_time_is_over(source: MessageSource) -> None:
    ada, bo = uuid4(), uuid4()
    assert claim(source, ada, "0", "1") == {"0": "10", "1": "0"}
    assert free_partitions(source.pk) == ["2"]
    assert claim(source, bo, "0", "2") == {"2": "5"}
    release_partitions(source.pk, ada, ["1"])
    assert claim(source, bo, "1") == {"1": "0", "2": "5"}
    SourcePartition.objects.filter(owner=ada).update(owned_until=ago(seconds=1))
    assert claim(source, bo, "0") == {"0": "10", "1": "0", "2": "5"}
    assert claim(source, ada) == {}


def test_a_stopped_partition_is_read_by_nobody_until_it_is_resumed(source: MessageSource) -> None:
    ada = uuid4()
    claim(source, ada, "0", "1", "2")
    assert not stop_partition(source.pk, "0", "of a consumer that was frozen", stands_at="9")
    assert stop_partition(source.pk, "0", "no JSON", stands_at="10")
    assert not stop_partition(source.pk, "0", "once more", stands_at="10")
    assert claim(source, ada, "0") == {"1": "0", "2": "5"}
    assert not move_position(source.pk, "0", read_from="10", next_position="20")
    assert resume_source(source.pk)
    assert not resume_source(source.pk)
    assert claim(source, ada, "0") == {"0": "10", "1": "0", "2": "5"}


def test_a_source_is_registered_once(source: MessageSource) -> None:
    found = run_together(*[lambda: ensure_source("events", "new", "g", job_name="ship").pk] * 2)
    assert found[0] == found[1]
    assert ensure_source("events", "orders", "", job_name="ship").pk == source.pk
    source.refresh_from_db()
    assert source.job_name == "ship"
    assert pause_source(source.pk, by="ada")
    assert not pause_source(source.pk)
