"""Ids of results: UUIDs that carry the job's id, and cannot be made, read or counted by others."""

from __future__ import annotations

from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.contrib.tasks.ids import job_id_of, result_id

job_ids = st.integers(1, 2**63 - 1)


@given(job_ids)
def test_an_id_is_a_uuid_of_version_8_that_carries_the_job(job_id: int) -> None:
    text = result_id(job_id)
    uuid = UUID(text)
    assert (str(uuid), uuid.version, uuid.variant) == (text, 8, RFC_4122)
    assert job_id_of(text) == job_id_of(uuid) == job_id_of(uuid.hex) == job_id


@given(job_ids, st.integers(0, 127))
def test_no_bit_can_be_changed(job_id: int, bit: int) -> None:
    assert job_id_of(UUID(int=UUID(result_id(job_id)).int ^ 1 << bit)) is None


def test_neighbours_have_nothing_in_common() -> None:
    numbers = [UUID(result_id(job_id)).int for job_id in range(1, 200)]
    assert all(abs(one - other) > 2**90 for one, other in pairwise(numbers))


def test_ids_outlive_the_rotation_of_the_secret() -> None:
    with override_settings(SECRET_KEY="before"):
        old = result_id(7)
    with override_settings(SECRET_KEY="after", SECRET_KEY_FALLBACKS=["older", "before"]):
        assert job_id_of(old) == 7
        assert result_id(7) != old
    with override_settings(SECRET_KEY="after", SECRET_KEY_FALLBACKS=[]):
        assert job_id_of(old) is None


@pytest.mark.parametrize("foreign", ["123", "", None, 7, "00000000-0000-8000-8000-000000000000", "x" * 36])
def test_anything_else_is_no_id(foreign: object) -> None:
    assert job_id_of(foreign) is None
