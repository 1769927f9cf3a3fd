from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.log_lines import LogLine, LogLines, shorten


def lines(number):
    return [LogLine(float(at), "INFO", "shop", f"line {at}") for at in range(number)]


@given(total=st.integers(0, 60), most=st.integers(1, 20))
def test_the_first_and_the_last_lines_are_kept_in_order(total, most):
    log, said = LogLines(most=most), lines(total)
    for line in said:
        log.add(line)

    kept, head, number = log.kept()

    assert number == total
    assert len(kept) == min(total, most)
    assert kept[:head] == said[:head]
    assert kept[head:] == said[total - (len(kept) - head) :]
    if total > most:
        assert head == most // 2


@given(text=st.text(max_size=400), most=st.integers(0, 300))
def test_a_text_is_never_longer_than_asked(text, most):
    short = shorten(text, most=most)

    assert len(short) <= most
    assert len(text) > most or short == text


def test_of_a_long_text_the_end_and_the_number_left_out_are_told():
    assert shorten("a" * 500 + "the end", most=100).endswith("the end")
    assert " 407 characters left out " in shorten("a" * 500 + "the end", most=100)
