import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.models import DeadLetter
from django_jobs.policy.fingerprint import fingerprint, normalize_message


def print_of(message="no", *, job_name="shop.send", error_class="ValueError", frame="shop/jobs.py:send"):
    return fingerprint(job_name=job_name, error_class=error_class, message=message, frame=frame)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 not found", "order 4711 not found"),
        ("at 0x7f00deadbeef", "at 0x1"),
        ("no 6f1c6b1e-5b1a-4b0e-9d5a-1b2c3d4e5f60 here", "no 00000000-0000-0000-0000-000000000000 here"),
        ("due 2026-03-29", "due 2025-01-01"),
        ("timeout after 1.5 s", "timeout after 30 s"),
        ("no user 'anna'", "no user 'bert'"),
        ('no user "anna"', 'no user "bert"'),
        ("first line\nline of one", "first line\nline of the other"),
    ],
)
def test_equal_failures_share_a_fingerprint_whatever_their_ids(one, other):
    assert print_of(one) == print_of(other)


@pytest.mark.parametrize(
    "difference",
    [
        {"message": "yes"},
        {"job_name": "shop.other"},
        {"error_class": "KeyError"},
        {"frame": "shop/jobs.py:other"},
    ],
)
def test_another_job_class_frame_or_message_is_another_fingerprint(difference):
    assert print_of(**difference) != print_of()


def test_where_one_part_ends_and_the_next_begins_matters():
    assert print_of(job_name="a", error_class="bc") != print_of(job_name="ab", error_class="c")


@given(message=st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_has_a_fingerprint_that_fits_its_column(message):
    one = print_of(message)

    assert re.fullmatch("[0-9a-f]{32}", one)
    assert len(one) == DeadLetter._meta.get_field("fingerprint").max_length


def test_a_message_of_a_megabyte_is_read_up_to_500_characters():
    assert normalize_message("x" * 1_000_000) == "x" * 500


def test_variable_parts_become_a_mark():
    assert normalize_message("  user 'anna' has 3 of 10,000 at 0xff\nmore") == "user # has # of # at #"
