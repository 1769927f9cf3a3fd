"""What somebody typed is found by beginnings first, in any case, and by all its words."""

from __future__ import annotations

import pytest

from django_jobs.policy.name_search import best_matches, match_rank


@pytest.mark.parametrize(
    ("text", "query", "rank"),
    [
        ("Mail", "mail", 0),
        ("mail.send", " MAIL ", 1),
        ("shop.mail", "mail", 2),
        ("shop_mail", "mail", 2),
        ("shop.e-mail", "mail", 2),
        ("hotmail", "mail", 3),
        ("send the mail of a shop", "shop mail", 3),
        ("mail", "mail shop", None),
        ("mail", "", None),
        ("a.b", "a+b", None),
        ("100% (sure)", "100% (", 1),
    ],
)
def test_the_rank_of_a_match(text: str, query: str, rank: int | None) -> None:
    assert match_rank(text, query) == rank


def test_the_best_come_first_and_equals_in_their_order() -> None:
    rows = [(text, text) for text in ("hotmail", "mail.b", "mail.a", "other", "mail")]
    assert best_matches(rows, "mail", limit=3) == ["mail", "mail.b", "mail.a"]
