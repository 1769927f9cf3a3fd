"""Numbers are rounded, not cut, as the current language writes them."""

from __future__ import annotations

import pytest
from django.utils import translation

from django_jobs.admin.site.numbers import rate_text, rounded_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.0"),
        (1.29, "1.3"),
        (1.21, "1.2"),
        (9.94, "9.9"),
        (9.97, "10"),
        (14.9, "15"),
        (1234.6, "1,235"),
        (1e-7, "0.0"),
    ],
)
def test_a_rate_is_rounded(number: float, text: str) -> None:
    assert rate_text(number) == text


def test_the_language_chooses_the_signs() -> None:
    with translation.override("de"):
        assert rounded_text(12345.67, decimals=1) == "12.345,7"
