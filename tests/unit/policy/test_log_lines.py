from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.log_lines import LogBuffer, LogLine


def lines(number):
    return [LogLine(float(at), "INFO", "shop", f"line {at}") for at in range(number)]


@given(total=st.integers(0, 60), most=st.integers(1, 20))
def test_the_first_and_the_last_lines_are_kept_in_order(total, most):
    log, said = LogBuffer(max_lines=most), lines(total)
    for line in said:
        log.add(line)

    kept, head, number = log.kept()

    assert number == total
    assert len(kept) == min(total, most)
    assert kept[:head] == said[:head]
    assert kept[head:] == said[total - (len(kept) - head) :]
    if total > most:
        assert head == most // 2
