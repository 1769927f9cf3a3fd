from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.truncate import truncate


@given(text=st.text(max_size=400), most=st.integers(0, 300))
def test_a_text_is_never_longer_than_asked(text, most):
    short = truncate(text, most)

    assert len(short) <= most
    assert len(text) > most or short == text


def test_a_long_text_keeps_its_end_and_says_how_much_is_left_out():
    assert truncate("a" * 500 + "the end", 100, around=" ").endswith("the end")
    assert " 407 characters left out " in truncate("a" * 500 + "the end", 100, around=" ")
