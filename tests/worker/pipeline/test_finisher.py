from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError, connection

from django_jobs.checks import check_text
from django_jobs.models import Attempt, DeadLetter, Job, JobLog
from django_jobs.policy.doctor import UnsafeSetting
from django_jobs.policy.log_lines import LogExcerpt, LogLine
from django_jobs.policy.outcomes import Released, Succeeded
from django_jobs.store.doctor.server import read_server
from django_jobs.store.logs import logs_of
from django_jobs.worker.execution.events import LogUpdate, ProgressUpdate
from django_jobs.worker.pipeline.finisher import FAILURES_ALONE, ROUNDS_TOGETHER, Finisher, FinisherItem
from tests import factories
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)


class FinisherSetup:
    """A finisher with the events that it reports, and no threads."""

    def __init__(self) -> None:
        self.worker = factories.make_worker()
        self.events = RecordedEvents()
        context = make_context(self.events, worker_id=self.worker.pk)
        self.active_claims = context.active_claims
        self.finisher = Finisher(context)

    def claims(self, number: int) -> list[factories.Claim]:
        factories.make_jobs(number)
        claims = factories.take(self.worker, number)
        self.active_claims.update((claim.job_id, claim) for claim in claims)
        return claims

    def save(self, *items: FinisherItem) -> None:
        for item in items:
            self.finisher.queue.put(item)
        self.finisher.collect()
        self.finisher.step()


def test_a_saved_batch_is_no_longer_active() -> None:
    setup = FinisherSetup()
    claims = setup.claims(3)
    setup.save(*(factories.ended(claim, Succeeded(result="1")) for claim in claims))
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}
    assert setup.active_claims == {}
    assert [run.claim for run in setup.events.saved] == claims
    assert setup.finisher.saved == 3
    assert setup.finisher.backlog() == 0


def test_a_released_job_that_is_claimed_again_at_once_stays_active() -> None:
    """The claimer sees the release once it is committed, before the finisher forgets the claim."""
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.active_claims[claim.job_id] = again = claim._replace(claim_number=claim.claim_number + 1)
    setup.save(factories.ended(claim, Released(started=False)))
    assert Job.objects.get(pk=claim.job_id).state == "ready"
    assert setup.active_claims == {claim.job_id: again}


def test_a_result_that_the_database_refuses_is_lost_and_its_job_succeeds() -> None:
    setup = FinisherSetup()
    claims = setup.claims(8)
    ends = [factories.ended(claim, Succeeded(result="1")) for claim in claims]
    ends[5] = factories.ended(claims[5], Succeeded(result="{not JSON"))
    setup.save(*ends)
    assert Job.objects.filter(state="succeeded").count() == 8
    lost = Job.objects.get(pk=claims[5].job_id)
    assert (lost.result, lost.is_result_lost) == (None, True)
    assert setup.active_claims == {}
    assert setup.finisher.saved == 8


@pytest.mark.parametrize("text", ["a\ud800b", "a\0b"])
def test_an_error_that_the_database_refuses_loses_its_text_and_is_retried(text: str) -> None:
    """As the worker would write it if it escaped nothing."""
    setup = FinisherSetup()
    claims = setup.claims(5)
    ends = [factories.ended(claim, Succeeded(result="1")) for claim in claims]
    ends[2] = factories.ended(claims[2], factories.failure(text))
    setup.save(*ends)
    assert Job.objects.filter(state="succeeded").count() == 4
    job = Job.objects.get(state="scheduled")
    assert (job.pk, job.attempt) == (claims[2].job_id, 1)
    attempt = job.attempts.get()
    assert attempt.outcome == "failed"
    assert attempt.error_message.startswith(("a", "(the text of this error cannot be stored"))
    assert [run.claim for run in setup.events.saved].count(claims[2]) == 1


def test_progress_and_logs_that_the_database_refuses_do_not_hold_up_finishes() -> None:
    setup = FinisherSetup()
    claims = setup.claims(2)
    line = LogLine(0.0, "INFO", "shop", "odd \ud800")
    setup.save(
        ProgressUpdate(claims[0], {"progress_done": 2**70, "progress_total": None, "progress_message": ""}),
        ProgressUpdate(claims[1], {"progress_done": 1, "progress_total": 2, "progress_message": "odd \ud800"}),
        LogUpdate(claims[1], lambda: LogExcerpt([line], 1, 1)),
        *(factories.ended(claim, Succeeded(result="1")) for claim in claims),
    )
    assert Job.objects.filter(state="succeeded").count() == 2
    assert Job.objects.get(pk=claims[1].job_id).progress_message == "odd \\ud800"
    assert logs_of(claims[1].job_id)[1].data[0][3] == "odd \\ud800"


@pytest.fixture
def narrow_columns() -> Iterator[None]:
    """Have the tables of attempts, dead letters and jobs in utf8mb3, as old databases have them."""
    tables = [model._meta.db_table for model in (Attempt, DeadLetter, Job, JobLog)]
    with connection.cursor() as cursor:
        before = {}
        for table in tables:
            cursor.execute(f"SHOW CREATE TABLE {table}")
            before[table] = cursor.fetchone()[1]
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb3")
        yield
        for table in tables:
            cursor.execute(f"DROP TABLE {table}")
            cursor.execute(before[table])
        cursor.execute("SET foreign_key_checks = 1")


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="other databases have one encoding for all tables")
@pytest.mark.usefixtures("narrow_columns")
def test_an_emoji_in_a_narrow_column_holds_up_nobody() -> None:
    setup = FinisherSetup()
    claims = setup.claims(6)
    emoji = LogLine(0.0, "INFO", "shop", "log \U0001f600")
    ends = [factories.ended(claim, Succeeded(result='"plain"')) for claim in claims]
    ends[1] = factories.ended(claims[1], factories.failure("error \U0001f600"))
    ends[2] = factories.ended(claims[2], factories.failure("dead \U0001f600", retry_in=None))
    ends[3] = factories.ended(claims[3], Succeeded(result='"result \U0001f600"'))
    setup.save(
        ProgressUpdate(claims[4], {"progress_done": 1, "progress_total": 2, "progress_message": "p \U0001f600"}),
        LogUpdate(claims[4], lambda: LogExcerpt([emoji], 1, 1)),
        *ends,
    )
    states = [Job.objects.get(pk=claim.job_id).state for claim in claims]
    assert states == ["succeeded", "scheduled", "dead", "succeeded", "succeeded", "succeeded"]
    assert Attempt.objects.get(job=claims[1].job_id).error_message == "error \\U0001f600"
    assert DeadLetter.objects.get().error_message == "dead \\U0001f600"
    assert Job.objects.get(pk=claims[3].job_id).result == "result \U0001f600"
    assert Job.objects.get(pk=claims[4].job_id).progress_message == "p \\U0001f600"
    assert setup.active_claims == {}
    assert [message.id for message in check_text(databases=["default"])] == ["django_jobs.W003"]
    assert UnsafeSetting.NARROW_TEXT in read_server().unsafe_settings


def test_the_tables_of_the_migrations_take_every_character() -> None:
    assert check_text(databases=["default"]) == []
    assert UnsafeSetting.NARROW_TEXT not in read_server().unsafe_settings


POISON = {
    "postgresql": """
        CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.error_message LIKE 'poison%%' THEN
                RAISE EXCEPTION 'gone away' USING ERRCODE = '57P01';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER poison BEFORE INSERT ON django_jobs_attempt FOR EACH ROW EXECUTE FUNCTION poison();
    """,
    "mysql": """
        CREATE TRIGGER poison BEFORE INSERT ON django_jobs_attempt FOR EACH ROW
        BEGIN
            IF NEW.error_message LIKE 'poison%%' THEN
                SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1053, MESSAGE_TEXT = 'gone away';
            END IF;
        END
    """,
}
CLEAN = {
    "postgresql": "DROP TRIGGER IF EXISTS poison ON django_jobs_attempt; DROP FUNCTION IF EXISTS poison()",
    "mysql": "DROP TRIGGER IF EXISTS poison",
}


@pytest.fixture
def poison() -> Iterator[Callable[[], None]]:
    """Have the server answer 'I am shutting down' to whatever stores an error that begins with 'poison'."""

    def clean() -> None:
        with connection.cursor() as cursor:
            cursor.execute(CLEAN[connection.vendor])

    with connection.cursor() as cursor:
        cursor.execute(POISON[connection.vendor])
    yield clean
    clean()


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="no server that could answer so")
def test_what_fails_alone_is_set_aside_and_its_neighbours_are_saved(poison: Callable[[], None]) -> None:
    setup = FinisherSetup()
    claims = setup.claims(5)
    ends = [factories.ended(claim, Succeeded(result="1")) for claim in claims]
    ends[1] = factories.ended(claims[1], factories.failure("poison"))
    finisher = setup.finisher
    for end in ends:
        finisher.queue.put(end)
    finisher.collect()
    failures = 0
    while finisher.backlog():
        try:
            finisher.step()
        except OperationalError:  # the loop pauses, takes a new connection and comes back
            connection.close()
            failures += 1
            assert failures <= ROUNDS_TOGETHER + FAILURES_ALONE
    assert failures == ROUNDS_TOGETHER + FAILURES_ALONE
    assert Job.objects.filter(state="succeeded").count() == 4
    assert list(setup.active_claims) == [claims[1].job_id], "it has not ended yet"

    poison()
    finisher.queue.close()
    finisher.collect()
    assert finisher.step() is None
    assert Job.objects.get(pk=claims[1].job_id).state == "scheduled"
    assert Attempt.objects.get(job=claims[1].job_id).error_message == "poison"
    assert setup.active_claims == {}


def test_large_results_are_saved_in_statements_that_a_server_accepts() -> None:
    setup = FinisherSetup()
    claims = setup.claims(30)
    result = '"' + "x" * 900_000 + '"'
    setup.save(*(factories.ended(claim, Succeeded(result=result)) for claim in claims))
    assert Job.objects.filter(state="succeeded").count() == 30


def test_of_two_ends_of_one_run_the_first_counts() -> None:
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.save(factories.ended(claim, Succeeded(result='"mine"')), factories.ended(claim, Released(started=True)))
    job = Job.objects.get()
    assert (job.state, job.result) == ("succeeded", "mine")
    assert job.attempts.count() == 1


def test_the_newest_progress_is_saved_before_the_finish() -> None:
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.save(
        ProgressUpdate(claim, {"progress_done": 1, "progress_total": 5, "progress_message": "one"}),
        ProgressUpdate(claim, {"metadata": {"tenant": "blue"}}),
        ProgressUpdate(claim, {"progress_done": 5, "progress_total": 5, "progress_message": "five"}),
        factories.ended(claim, Succeeded()),
    )
    job = Job.objects.get()
    assert (job.progress_done, job.progress_message, job.metadata) == (5, "five", {"tenant": "blue"})
    assert job.state == "succeeded"


def test_the_claimer_expects_a_retry() -> None:
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    setup.save(factories.ended(claim, factories.failure()))
    assert setup.events.delays == [5.0]
    assert Job.objects.get().state == "scheduled"
