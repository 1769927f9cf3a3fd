import pytest

from django_jobs.policy.doctor import (
    RowFacts,
    SchemaFacts,
    ServerFacts,
    Severity,
    UnsafeSetting,
    VacuumBlocker,
    diagnose,
)


def findings(**facts):
    return diagnose(**({"rows": RowFacts(), "server": ServerFacts(), "schema": SchemaFacts()} | facts))


def only(**facts):
    [finding] = findings(**facts)
    return finding


def test_nothing_is_found_where_nothing_is_wrong():
    assert (
        findings(
            server=ServerFacts(clock_skew_seconds=0.9, dead_rows=9_999, head_pages=9, log_bytes=1, notify_works=True)
        )
        == []
    )


@pytest.mark.parametrize(("seconds", "said"), [(3600, "60 min ahead of"), (-7300, "2 h behind"), (1.1, "1 s ahead of")])
def test_a_clock_that_differs_is_a_hint(seconds, said):
    finding = only(server=ServerFacts(clock_skew_seconds=seconds))
    assert finding.severity is Severity.HINT
    assert finding.what == f"this host's clock is {said} the database's"


def test_a_lost_notification_points_to_the_pooler():
    finding = only(server=ServerFacts(notify_works=False))
    assert (finding.severity, "PgBouncer in transaction mode" in finding.advice) == (Severity.HINT, True)


def test_a_notifier_that_does_not_answer_is_named():
    finding = only(server=ServerFacts(notify_works=False, notifier="redis://:***@host:6379"))
    assert finding.what == "a notification by redis://:***@host:6379 did not arrive"
    assert "DJANGO_JOBS['NOTIFIER']" in finding.advice


def test_a_held_snapshot_is_a_hint_until_it_costs():
    held = [VacuumBlocker(holder="process 7 (report)", age_seconds=7200, query="SELECT 1")]
    cheap = only(server=ServerFacts(vacuum_blockers=held, dead_rows=10, head_pages=4))
    dear = only(server=ServerFacts(vacuum_blockers=held, dead_rows=2_000_000, head_pages=12_345))
    assert (cheap.severity, dear.severity) == (Severity.HINT, Severity.PROBLEM)
    assert dear.what == (
        "process 7 (report) has blocked the removal of dead rows for 2 h (2,000,000 dead rows in the table of jobs;"
        " a claim from the head of the index reads 12,345 pages): SELECT 1"
    )


def test_dead_rows_without_a_blocker_ask_for_vacuum():
    assert "VACUUM" in only(server=ServerFacts(dead_rows=2_000_000)).advice


def test_a_large_log_of_sqlite_is_a_hint():
    assert only(server=ServerFacts(log_bytes=300 << 20)).what == "SQLite's WAL file has grown to 300 MB"


def test_an_invalid_index_is_a_problem():
    assert only(schema=SchemaFacts(invalid=["django_jobs_ready"])).severity is Severity.PROBLEM


@pytest.mark.parametrize("weakness", list(UnsafeSetting))
def test_every_unsafe_setting_is_a_problem_with_advice(weakness):
    finding = only(server=ServerFacts(unsafe_settings=[weakness]))
    assert (finding.severity, finding.what, finding.advice) == (Severity.PROBLEM, *weakness.value)


def test_problems_come_first():
    found = findings(server=ServerFacts(clock_skew_seconds=99), rows=RowFacts(orphaned=[1, 2], missing_finished_at=[3]))
    assert [finding.severity for finding in found] == [Severity.PROBLEM, Severity.HINT, Severity.HINT]
