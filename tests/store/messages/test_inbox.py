"""The inbox: of concurrent and repeated ids each is new once; old ones are pruned."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from django_jobs.models import ReceivedId
from django_jobs.store.dialects import is_conflict, open_dialect
from django_jobs.store.messages.inbox import insert_new_ids, prune_inbox
from tests.concurrency import run_together
from tests.factories import ago
from tests.statements import counted

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_id_is_new_once_for_each_source() -> None:
    assert insert_new_ids(1, ["a", "b"]) == {"a", "b"}
    assert insert_new_ids(1, ["b", "c", "a"]) == {"c"}
    assert insert_new_ids(2, ["a"]) == {"a"}
    assert insert_new_ids(1, []) == set()
    assert ReceivedId.objects.count() == 4


def test_a_batch_is_one_statement() -> None:
    with counted() as taken:
        insert_new_ids(1, [str(number) for number in range(500)])
    assert taken.statements == 1
    with counted() as taken:
        assert insert_new_ids(1, [str(number) for number in range(499, 700)]) == {str(n) for n in range(500, 700)}
    assert taken.statements == 1


def test_an_id_of_a_transaction_that_is_rolled_back_is_new() -> None:
    with transaction.atomic():
        insert_new_ids(1, ["a"])
        transaction.set_rollback(True)
    assert insert_new_ids(1, ["a"]) == {"a"}


def test_of_batches_at_the_same_time_each_id_is_new_in_one() -> None:
    ids = [str(number) for number in range(300)]

    def insert(given: list[str]) -> set[str]:
        with open_dialect()[0].write_transaction(connection):
            return insert_new_ids(1, given)

    first, second = run_together(lambda: insert(ids), lambda: insert(ids[::-1]))
    assert first | second == set(ids)
    assert not first & second


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="others return what they insert")
def test_a_server_that_returns_nothing_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.features, "can_return_columns_from_insert", False)
    assert insert_new_ids(1, ["a", "b"]) == {"a", "b"}
    assert insert_new_ids(1, ["b", "c"]) == {"c"}
    assert insert_new_ids(1, ["b", "c"]) == set()


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="others return what they insert")
def test_an_id_that_was_inserted_meanwhile_is_a_conflict_to_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    from django_jobs.store.dialects.mysql import inbox

    monkeypatch.setattr(connection.features, "can_return_columns_from_insert", False)
    insert_new_ids(1, ["a"])
    monkeypatch.setattr(inbox, "PRESENT", "SELECT digest FROM django_jobs_receivedid WHERE digest IN %s AND 1 = 0")
    with pytest.raises(OperationalError) as caught:
        insert_new_ids(1, ["a", "b"])
    assert is_conflict(connection, caught.value)


def test_ids_are_kept_for_their_time() -> None:
    insert_new_ids(1, ["a", "b"])
    ReceivedId.objects.filter(pk=ReceivedId.objects.order_by("pk").values_list("pk", flat=True)[0]).update(
        received_at=ago(days=15)
    )
    assert prune_inbox(None) == 0
    assert prune_inbox(timedelta(days=14)) == 1
    assert prune_inbox(timedelta(days=14)) == 0
    assert ReceivedId.objects.count() == 1
