import pytest

from django_jobs.policy.doctor import Gravity, Rows, Schema, Server, Snapshot, Weakness, diagnose


def findings(**facts):
    return diagnose(**({"rows": Rows(), "server": Server(), "schema": Schema()} | facts))


def only(**facts):
    [finding] = findings(**facts)
    return finding


def test_nothing_is_found_where_nothing_is_wrong():
    assert (
        findings(server=Server(clock_seconds=0.9, dead_rows=9_999, head_pages=9, log_bytes=1, heard=True))
        == []
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(3600, "60 min ahead of"), (-7300, "2 h behind"), (1.1, "1 s ahead of")]
)
def test_a_clock_that_differs_is_a_hint(seconds, said):
    finding = only(server=Server(clock_seconds=seconds))
    assert finding.gravity is Gravity.HINT
    assert finding.what == f"this host's clock is {said} the database's"


def test_a_notification_that_does_not_come_through_points_to_the_pooler():
    finding = only(server=Server(heard=False))
    assert (finding.gravity, "PgBouncer in transaction mode" in finding.advice) == (Gravity.HINT, True)


def test_a_held_snapshot_is_a_hint_until_it_costs():
    held = [Snapshot(holder="process 7 (report)", age_seconds=7200, query="SELECT 1")]
    cheap = only(server=Server(snapshots=held, dead_rows=10, head_pages=4))
    dear = only(server=Server(snapshots=held, dead_rows=2_000_000, head_pages=12_345))
    assert (cheap.gravity, dear.gravity) == (Gravity.HINT, Gravity.PROBLEM)
    assert dear.what == (
        "process 7 (report) has held back the removal of dead rows for 2 h (2,000,000 dead rows in the jobs' table;"
        " a look at the head of the line reads 12,345 pages): SELECT 1"
    )


def test_dead_rows_that_nobody_holds_ask_for_vacuum():
    assert "VACUUM" in only(server=Server(dead_rows=2_000_000)).advice


def test_a_large_log_of_sqlite_is_a_hint():
    assert only(server=Server(log_bytes=300 << 20)).what == "SQLite's log has grown to 300 MB"


def test_an_invalid_index_is_a_problem():
    assert only(schema=Schema(invalid=["django_jobs_ready"])).gravity is Gravity.PROBLEM


@pytest.mark.parametrize("weakness", list(Weakness))
def test_every_weakness_is_a_problem_with_advice(weakness):
    finding = only(server=Server(weakened=[weakness]))
    assert (finding.gravity, finding.what, finding.advice) == (Gravity.PROBLEM, *weakness.value)


def test_problems_come_first():
    found = findings(server=Server(clock_seconds=99), rows=Rows(stranded=[1, 2], endless=[3]))
    assert [one.gravity for one in found] == [Gravity.PROBLEM, Gravity.HINT, Gravity.HINT]
