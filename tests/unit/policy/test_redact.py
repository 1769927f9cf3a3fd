import pytest

from django_jobs.policy.redact import MASK, redact

PARTS = ("token", "PassWord")


@pytest.mark.parametrize("key", ["token", "access_token", "TOKEN2", "password", "old-password"])
def test_a_key_that_has_a_part_is_masked_whatever_its_case(key):
    assert redact({key: "s3cret", "user_id": 7}, parts=PARTS) == {key: MASK, "user_id": 7}


def test_masks_are_put_at_any_depth_and_over_any_value():
    value = {"orders": [{"card": {"number": 4929}, "id": 1}], "headers": {"Token": ["a", "b"]}}
    assert redact(value, parts=PARTS, names=["card"]) == {
        "orders": [{"card": MASK, "id": 1}],
        "headers": {"Token": MASK},
    }


def test_names_are_whole():
    assert redact({"card": 1, "cardinality": 2}, parts=(), names=["card"]) == {"card": MASK, "cardinality": 2}


@pytest.mark.parametrize("value", [None, 7, "token", [1, "password"], {}])
def test_values_without_a_secret_key_are_unchanged(value):
    assert redact(value, parts=PARTS) == value
