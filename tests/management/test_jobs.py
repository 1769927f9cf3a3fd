"""``manage.py jobs``: every verb, as text and as JSON."""

from __future__ import annotations

import contextlib
import json
import re
from contextlib import suppress
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.models import DeadLetter, Expiry, Job, JobLog, Queue
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from tests import factories
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def _jobs(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", *arguments, stdout=out)
    return out.getvalue()


def _json(*arguments: str) -> Any:
    return json.loads(_jobs(*arguments, "--json"))


def test_status_counts_queues_workers_and_dead_letters() -> None:
    factories.make_jobs(3, queue_name="mail")
    factories.make_job(State.SUCCEEDED, queue_name="mail")
    worker = factories.make_worker(hostname="web-1", queues=["mail"])
    factories.make_letter(queue_name="mail")
    status = _json("status")
    mail = next(queue for queue in status["queues"] if queue["name"] == "mail")
    assert (mail["ready"], mail["succeeded"], mail["dead"]) == (3, 1, 0)
    assert status["workers"][0]["id"] == worker.pk
    assert status["open_dead_letters"] == 1
    text = _jobs("status")
    assert "web-1" in text
    assert "1 open dead letter\n" in text


def test_status_says_whether_each_queue_keeps_up() -> None:
    factories.make_worker()
    factories.make_jobs(40, queue_name="mail")
    factories.make_jobs(40, queue_name="reports")
    factories.make_backlog(
        {"mail": [2_240 - 200 * at for at in range(12)], "reports": [40 + 12 * at for at in range(12)]}
    )
    queues = {queue["name"]: queue["forecast"] for queue in _json("status")["queues"]}
    empty_at = datetime.fromisoformat(queues["mail"]["empty_at"])
    assert queues["mail"]["trend"] == "emptying"
    assert empty_at - database_now() < timedelta(minutes=2)
    assert queues["mail"]["text"] in {f"empty at {empty_at:%H:%M} UTC", f"empty at {empty_at:%Y-%m-%d %H:%M} UTC"}
    assert queues["reports"] == {
        "trend": "growing", "empty_at": None, "growing_per_minute": 12, "text": "growing by 12 a minute",
    }  # fmt: skip
    text = _jobs("status")
    assert queues["mail"]["text"] in text
    assert "growing by 12 a minute" in text


def test_status_shows_releases_and_what_came_with_the_newest() -> None:
    factories.make_deploy("v1", first_seen_at=factories.ago(hours=3))
    factories.make_deploy("v2", first_seen_at=factories.ago(hours=1))
    factories.make_worker(hostname="web-1", release="v2")
    factories.make_letter(job_name="shop.sync", error_class="builtins.KeyError")
    status = _json("status")
    assert [deploy["release"] for deploy in status["deploys"]] == ["v2", "v1"]
    assert status["workers"][0]["release"] == "v2"
    sentence = next(one for one in status["health"] if one["key"] == "new_error_since_deploy")
    assert re.fullmatch(r"Since v2 at [-\d]+ [:\d]+ UTC KeyError of shop.sync is new.", sentence["text"])
    text = _jobs("status")
    assert f"warning: {sentence['text']}" in text
    assert re.search(r"^shop +v2 +2", text, re.MULTILINE)


def test_status_of_nothing_says_what_to_do() -> None:
    text = _jobs("status")
    assert "no queues yet" in text
    assert "start one with 'manage.py runworker'" in text


def test_list_filters_and_limits() -> None:
    factories.make_jobs(3, name="a")
    factories.make_jobs(2, State.SUCCEEDED, name="b", queue_name="mail")
    assert len(_json("list")) == 5
    assert [row["name"] for row in _json("list", "--state", "ready", "--limit", "2")] == ["a", "a"]
    assert {row["name"] for row in _json("list", "--queue", "mail")} == {"b"}
    assert "id" in _jobs("list", "--name", "a")


def test_show_has_every_attempt() -> None:
    job = factories.make_job(State.DEAD, arguments={"user_id": 7})
    factories.make_attempt(
        job, error_class="builtins.ValueError", error_message="no", traceback="Traceback\nValueError: no"
    )
    row = _json("show", str(job.pk))
    assert row["arguments"] == {"user_id": 7}
    assert row["why"] is None
    assert row["attempts"][0]["error_class"] == "builtins.ValueError"
    text = _jobs("show", str(job.pk))
    assert '{"user_id": 7}' in text
    assert "ValueError: no" in text


def test_show_takes_no_more_statements_for_more_attempts(django_assert_num_queries: Any) -> None:
    factories.make_job()  # ahead of both
    few, many = factories.make_job(), factories.make_job()
    for number in range(1, 12):
        factories.make_attempt(many, number=number, claim_number=number)
    factories.make_attempt(few)
    with CaptureQueriesContext(connection) as one:
        _json("show", str(few.pk))
    with django_assert_num_queries(len(one)):
        assert len(_json("show", str(many.pk))["attempts"]) == 11


def test_show_says_why_a_job_does_not_run() -> None:
    job = factories.make_job(queue_name="mail")
    assert _json("show", str(job.pk))["why"] == "Ready, but no worker is alive."
    _jobs("pause", "mail")
    assert "why           The queue mail has been paused by " in _jobs("show", str(job.pk))


def test_show_has_the_expiry_of_a_job() -> None:
    row = _json("enqueue", sample.do_nothing.name, "--expires", "3600")
    job = Job.objects.get(pk=row["id"])
    shown = _json("show", str(job.pk))
    assert job.expires_at is not None
    assert shown["expires_at"] == job.expires_at.isoformat(timespec="milliseconds")
    assert shown["expired_at"] is None
    Expiry.objects.update(expired_at=database_now())
    assert "expired at" in _jobs("show", str(job.pk))
    with pytest.raises(CommandError, match="above zero"):
        _jobs("enqueue", sample.do_nothing.name, "--expires", "0")


def test_show_names_the_key_of_a_job() -> None:
    job = sample.echo.using(idempotency_key="order-3").enqueue()
    unique = sample.sync.enqueue(7)
    [key] = _json("show", str(job.pk))["keys"]
    assert (key["kind"], key["key"]) == ("idempotency", "order-3")
    assert key["until"] > key["since"]
    assert _json("show", str(unique.pk))["keys"][0]["until"] is None
    assert "order-3" in _jobs("show", str(job.pk))
    assert "keys" not in _jobs("show", str(sample.echo.enqueue().pk))


def test_enqueue_of_a_unique_job_says_that_one_waits_already() -> None:
    arguments = ("enqueue", "tests.sampleapp.jobs.sync", "--arguments", '{"user_id": 7}')
    assert "is ready" in _jobs(*arguments)
    assert "is already ready" in _jobs(*arguments)
    assert _json(*arguments)["is_duplicate"] is True
    assert Job.objects.count() == 1


def test_show_of_a_deleted_job_is_an_error() -> None:
    with pytest.raises(CommandError, match="there is no job 4711; it may have been pruned or purged"):
        _jobs("show", "4711")


def test_retry_redrives_dead_jobs_and_runs_scheduled_ones_now() -> None:
    letter = factories.make_letter()
    dead, scheduled = letter.job, factories.make_job(State.SCHEDULED)
    done = factories.make_job(State.SUCCEEDED)
    assert dead is not None
    assert _json("retry", "--all", "--dry-run") == {"retried": 2, "dry_run": True}
    assert dead.refresh().state == "dead"
    assert _json("retry", "--all") == {"retried": 2, "dry_run": False}
    assert (dead.refresh().state, scheduled.refresh().state) == ("ready", "ready")
    assert done.refresh().state == "succeeded"
    letter.refresh_from_db()
    assert letter.status == DeadLetter.Status.REDRIVEN
    assert letter.resolved_by.endswith("(shell)")


def test_cancel_takes_ids_and_filters() -> None:
    one, two, three = factories.make_jobs(3)
    assert _jobs("cancel", str(one.pk)).strip() == "1 job cancelled"
    assert _jobs("cancel", "--queue", "default").strip() == "2 jobs cancelled"
    assert {job.refresh().state for job in (one, two, three)} == {"cancelled"}


def test_cancel_requests_the_cancellation_of_running_jobs() -> None:
    factories.make_job()
    running = factories.make_job(State.RUNNING)
    assert (
        _jobs("cancel", "--all", "--dry-run").strip()
        == "1 job would be cancelled, cancellation of 1 running job would be requested"
    )
    assert running.refresh().cancel_requested_at is None
    assert _jobs("cancel", "--all").strip() == "1 job cancelled, cancellation of 1 running job requested"
    assert running.refresh().cancel_requested_at is not None
    assert json.loads(_jobs("cancel", "--all", "--json")) == {
        "cancelled": 0,
        "requested": 0,
        "dry_run": False,
    }


def test_purge_deletes_what_has_ended_only() -> None:
    factories.make_jobs(2, State.SUCCEEDED)
    waiting = factories.make_job()
    assert _json("purge", "--all")["purged"] == 2
    assert list(Job.objects.all()) == [waiting]


def test_jobs_are_moved_to_a_queue_that_is_known_or_meant() -> None:
    factories.make_queue("mail")
    factories.make_jobs(2)
    factories.make_job(queue_name="mail")
    factories.make_job(State.SUCCEEDED)
    assert _json("move", "--all", "--to", "mail", "--dry-run") == {"moved": 2, "dry_run": True}
    assert _jobs("move", "--all", "--to", "mail") == "2 jobs moved to queue mail\n"
    with pytest.raises(CommandError, match="--to: expected a queue that a worker has seen, got 'male'"):
        call_command("jobs", "move", "--all", "--to", "male")
    assert _json("move", "--queue", "mail", "--to", "male", "--create")["moved"] == 3


def test_a_priority_is_set_and_a_retry_may_have_one() -> None:
    job, dead = factories.make_job(), factories.make_job(State.DEAD)
    assert _json("set-priority", str(job.pk), "--priority", "5", "--dry-run") == {"changed": 1, "dry_run": True}
    assert _jobs("set-priority", str(job.pk), "--priority", "5") == "1 job changed to priority 5\n"
    assert _json("set-priority", "--all", "--priority", "5", "--dry-run")["changed"] == 0
    assert _json("retry", "--state", "dead", "--priority", "-100")["retried"] == 1
    assert (job.refresh().priority, dead.refresh().priority) == (5, -100)
    with pytest.raises(CommandError, match="--priority: expected a whole number from -100 to 100"):
        call_command("jobs", "set-priority", "--all", "--priority", "101")


@pytest.mark.parametrize("verb", ["retry", "cancel", "purge"])
def test_a_change_of_all_jobs_needs_the_option_all(verb: str) -> None:
    with pytest.raises(CommandError, match="expected ids, --state, --queue, --name or --all"):
        _jobs(verb)


def test_arguments_without_their_option_are_explained() -> None:
    with pytest.raises(CommandError, match=r"got '\{\"first\": 1\}' after it; .* --arguments '\{"):
        _jobs("enqueue", sample.add.name, '{"first": 1}')


def test_enqueue_checks_name_and_arguments() -> None:
    row = _json("enqueue", sample.add.name, "--arguments", '{"first": 1}', "--queue", "slow", "--priority", "3")
    assert (row["queue_name"], row["priority"], row["state"]) == ("slow", 3, "ready")
    assert "is scheduled" in _jobs("enqueue", sample.do_nothing.name, "--delay", "60")
    with pytest.raises(CommandError, match=r"missing a required argument: 'first'"):
        _jobs("enqueue", sample.add.name)
    with pytest.raises(CommandError, match="no job is named 'nobody'; known are "):
        _jobs("enqueue", "nobody")
    with pytest.raises(CommandError, match=r"expected a JSON object, got '{'"):
        _jobs("enqueue", sample.add.name, "--arguments", "{")
    with pytest.raises(CommandError, match=r"expected a JSON object, got '\[1\]'"):
        _jobs("enqueue", sample.add.name, "--arguments", "[1]")
    with pytest.raises(CommandError, match=r"--priority: expected a whole number from -100 to 100"):
        _jobs("enqueue", sample.add.name, "--priority", "101")


def test_pause_and_resume_a_queue() -> None:
    assert _jobs("pause", "mail", "--create").strip() == "queue mail is paused"
    assert Queue.objects.get(name="mail").is_paused
    assert _jobs("pause", "mail").strip() == "queue mail was already paused"
    assert _json("resume", "mail") == {"resumed": "mail"}
    assert not Queue.objects.get(name="mail").is_paused


def test_prune_deletes_by_retention() -> None:
    old = factories.ago(days=8)
    factories.make_jobs(2, State.SUCCEEDED, enqueued_at=old, finished_at=old)
    recent = factories.make_job(State.SUCCEEDED)
    assert _json("prune") == {"pruned": 2}
    assert list(Job.objects.all()) == [recent]


def test_health_names_what_waits_too_long() -> None:
    factories.make_worker(queues=[])
    job = factories.make_job(State.READY)
    assert _json("health") == {"ok": True, "reasons": []}

    Job.objects.filter(pk=job.pk).update(ready_at=database_now() - timedelta(minutes=6))

    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("jobs", "health", "--json", stdout=out)
    assert end.value.code == 1
    (reason,) = json.loads(out.getvalue())["reasons"]
    assert reason.startswith("1 queue has had a job ready for 6 min ")
    assert _jobs("health", "--max-wait", "400") == "healthy\n"


def _health_problems() -> list[str]:
    out = StringIO()
    with suppress(SystemExit):
        call_command("jobs", "health", "--json", stdout=out)
    reasons: list[str] = json.loads(out.getvalue())["reasons"]
    return reasons


def test_health_names_a_queue_that_idle_workers_overlook() -> None:
    long_ago = factories.ago(minutes=10)
    worker = factories.make_worker(started_at=long_ago, concurrency=2)
    factories.make_worker(started_at=long_ago, queues=["documents"])
    factories.make_job(queue_name="mail", ready_at=factories.ago(seconds=40))
    (problem,) = _health_problems()
    assert re.fullmatch(
        r"A job of the queue mail has been ready for 4\d s, and 1 idle worker that could claim it did not\.", problem
    )

    running = factories.make_job(State.RUNNING, worker=worker, started_at=long_ago)
    assert len(_health_problems()) == 1, "it has a second slot"
    factories.make_attempt(running, worker_id=worker.pk, started_at=factories.ago(seconds=5))
    assert _health_problems() == [], "it has claimed a job lately"


def test_health_does_not_blame_workers_that_are_busy_or_may_not_claim() -> None:
    long_ago = factories.ago(minutes=10)
    worker = factories.make_worker(started_at=long_ago, concurrency=1)
    factories.make_job(queue_name="mail", ready_at=factories.ago(seconds=40))
    factories.make_job(State.RUNNING, worker=worker, queue_name="mail", started_at=long_ago)
    assert _health_problems() == [], "it is busy"

    factories.make_worker(started_at=long_ago)
    assert len(_health_problems()) == 1
    factories.make_queue("mail", max_running=1)
    assert _health_problems() == [], "the queue is full"
    Queue.objects.update(max_running=2)
    assert len(_health_problems()) == 1
    Queue.objects.update(paused_at=long_ago)
    assert _health_problems() == [], "the queue is paused"


def test_health_reads_hundreds_of_queues_in_few_statements() -> None:
    for priority in (0, 1):
        factories.make_queues_of_one_job(150, priority=priority, ready_at=factories.ago(minutes=6 - priority))
    factories.make_worker()
    with CaptureQueriesContext(connection) as captured:
        problems = _health_problems()
    (problem,) = problems
    assert problem.startswith("150 queues have had jobs ready for up to 6 min ")
    assert len(captured) < 20


def test_a_worker_without_a_fresh_heartbeat_serves_nobody() -> None:
    factories.make_worker(heartbeat_at=database_now() - timedelta(minutes=1))
    with pytest.raises(SystemExit):
        _jobs("health")


def test_a_queue_is_capped_and_uncapped() -> None:
    assert _jobs("max-running", "mail", "3", "--create").strip() == "queue mail: at most 3 running jobs"
    assert Queue.objects.get(name="mail").max_running == 3
    assert _jobs("max-running", "mail", "none").strip() == "queue mail: no limit"
    assert Queue.objects.get(name="mail").max_running is None


@pytest.mark.parametrize("most", ["0", "-1", "many", "1.5", ""])
def test_a_wrong_cap_is_refused_with_what_was_expected(most: str) -> None:
    with pytest.raises(CommandError, match=r"limit: expected a whole number from 1 to 1000000, or 'none'"):
        _jobs("max-running", "--create", "mail", "--", most) if most.startswith("-") else _jobs(
            "max-running", "--create", "mail", most
        )


FORGED = "\x1b[2J\x9b31mpaid\r\n99  succeeded\x7f\u2028\u202e\u061cexe"


def test_text_for_a_terminal_has_no_control_characters() -> None:
    job = factories.make_job(
        State.READY,
        progress_done=1,
        progress_message=FORGED,
        arguments={"text": FORGED},
        metadata={FORGED: 1},
    )
    factories.make_attempt(job, outcome="failed", error_class="E", error_message=FORGED, traceback="", claim_number=1)
    factories.make_attempt(
        job, outcome="failed", error_class="E", error_message=FORGED, claim_number=2, traceback=f"line\n{FORGED}"
    )
    JobLog.objects.create(job=job, claim_number=1, data=[[0.0, "INFO", FORGED, FORGED]], head=1, total=1)
    factories.make_schedule(FORGED, problem=FORGED)
    factories.make_worker(hostname=FORGED, queues=[FORGED])
    verbs = (["show", str(job.pk)], ["list"], ["status"], ["schedules"], ["doctor"], ["health"])
    for verb in (*verbs, *([*verb, "--json"] for verb in verbs)):
        out = StringIO()
        with contextlib.suppress(SystemExit):
            call_command("jobs", *verb, stdout=out)
        assert all(character.isprintable() or character == "\n" for character in out.getvalue()), verb
        assert not any(line.startswith("99  succeeded") for line in out.getvalue().splitlines())
    assert _json("show", str(job.pk))["attempts"][0]["error_message"] == FORGED
