from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from django_jobs.web.models import Token
from django_jobs.web.tokens import create_token, find_token, record_token_use, revoke_token
from tests.factories import ago

pytestmark = pytest.mark.django_db


def test_a_token_is_found_by_its_text_and_its_secret_is_not_stored():
    token, text = create_token("billing", job_names=["b", "a", "b"], by="ada")

    found = find_token(text)
    assert found == token
    assert (found.name, found.job_names, found.created_by) == ("billing", ["a", "b"], "ada")
    assert found.created_at > ago(minutes=1)
    secret = text.partition(".")[2]
    assert all(secret not in str(value) for value in Token.objects.values_list().get())


def test_a_token_allows_the_jobs_in_its_list_only():
    token, _ = create_token("billing", job_names=["shop.send"])
    assert token.allows("shop.send")
    for other in ("shop.Send", "shop.send2", "shop", "", "*"):
        assert not token.allows(other)


def test_another_secret_or_key_finds_no_token(django_assert_num_queries):
    _, text = create_token("billing", job_names=["a"])
    key, secret = text.removeprefix("djt_").split(".")
    for wrong in (f"djt_{key}.{secret}x", f"djt_{key.swapcase()}.{secret}", f"djt_{'0' * 12}.{secret}"):
        assert find_token(wrong) is None
    with django_assert_num_queries(0):
        assert find_token("nonsense") is None
    with django_assert_num_queries(1):
        assert find_token(text) is not None


def test_a_revoked_token_is_found_with_who_revoked_it():
    token, text = create_token("billing", job_names=["a"])
    assert revoke_token(token.key, by="bo")
    assert not revoke_token(token.key, by="grace")
    assert not revoke_token("nobody")
    found = find_token(text)
    assert found.is_revoked
    assert found.revoked_by == "bo"
    assert found.revoked_at > ago(minutes=1)


def test_the_last_use_is_written_at_most_once_a_minute(django_assert_num_queries):
    token, text = create_token("billing", job_names=["a"])
    record_token_use(token)
    token = find_token(text)
    assert token.last_used_at > ago(minutes=1)
    with django_assert_num_queries(0):
        record_token_use(token)
    Token.objects.update(last_used_at=F("last_used_at") - timedelta(minutes=2))
    record_token_use(find_token(text))
    assert find_token(text).last_used_at > ago(minutes=1)


def test_no_two_tokens_have_one_key():
    token, _ = create_token("billing", job_names=["a"])
    other, _ = create_token("mailing", job_names=["a"])
    assert token.key != other.key
    with pytest.raises(IntegrityError), transaction.atomic():
        Token.objects.filter(pk=other.pk).update(key=token.key)
