import pytest

from django_jobs.web.token_text import format_token, hash_secret, parse_token, verify_secret

KEY, SECRET = "abcDEF012345", "x" * 43


def test_what_is_written_is_read():
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
def test_anything_else_is_no_token(text):
    assert parse_token(text) is None


def test_only_the_secret_itself_fits_what_is_kept():
    kept = hash_secret(SECRET)
    assert SECRET not in kept
    assert verify_secret(SECRET, kept)
    assert not verify_secret(SECRET + "x", kept)
    assert not verify_secret("", kept)
