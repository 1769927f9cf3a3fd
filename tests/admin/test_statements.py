"""Each page takes at most 20 statements, however many rows there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_jobs.store.stats.rollup import roll_up
from tests import factories

from .every_page import make_rows, page_addresses
from .many_rows import add_many
from .staff import url

MOST = 20


@pytest.mark.django_db(transaction=True)
def test_every_page_takes_few_statements_with_many_rows_of_everything(admin_client: Client) -> None:
    rows = make_rows()
    middle = add_many(rows)
    for _ in range(2):  # the first notes up to where there are rows
        roll_up(min_age=timedelta(0))
    factories.make_letter(fingerprint="e" * 32)
    addresses = [*page_addresses([*rows, *middle]), url("deadlettergroup_evidence", "f" * 32), url("dashboard_now")]
    taken = {}
    for address in addresses:
        with CaptureQueriesContext(connection) as asked:
            assert admin_client.get(address).status_code == 200, address
        taken[address] = len(asked)
    assert {address: number for address, number in taken.items() if number > MOST} == {}
