import pytest

from django_jobs.web.token_text import format_token, hash_secret, parse_token, verify_secret

KEY, SECRET = "abcDEF012345", "x" * 43


def test_a_formatted_token_is_parsed():
    assert parse_token(format_token(KEY, SECRET)) == (KEY, SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "djt_",
        KEY,
        f"djt_{KEY}",
        f"djt_{KEY}.",
        f"{KEY}.{SECRET}",
        f"djt_{KEY[:-1]}.{SECRET}",
        f"djt_{KEY[:-1]}%.{SECRET}",
        f"djt_{KEY}.{'x' * 1000}",
        f"djt_{KEY}.\u00e4",
        f"bearer djt_{KEY}.{SECRET}",
    ],
)
def test_other_text_is_not_a_token(text):
    assert parse_token(text) is None


def test_only_the_secret_itself_matches_its_hash():
    kept = hash_secret(SECRET)
    assert SECRET not in kept
    assert verify_secret(SECRET, kept)
    assert not verify_secret(SECRET + "x", kept)
    assert not verify_secret("", kept)
