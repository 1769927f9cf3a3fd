"""Workers that work: burst, queues, processes, async, retries, what a run leaves behind."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

import django_jobs
from django_jobs.models import Job, Queue, Worker
from django_jobs.store.queues import pause, resume
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start


def test_burst_works_off_what_is_ready_and_due_and_exits_with_0(start_worker: StartWorker) -> None:
    now = sample.add.enqueue(1, 2)
    many = sample.echo.enqueue_many([(number,) for number in range(1_000)])
    later = sample.add.using(run_after=timedelta(hours=1)).enqueue(3)
    assert start_worker("--burst", complete=True).wait() == 0
    assert (now.refresh().state, now.result) == ("succeeded", 3)
    assert Job.objects.filter(pk__in=[job.pk for job in many], state="succeeded").count() == 1_000
    assert later.refresh().state == "scheduled"
    assert Worker.objects.get().state == "stopped"


def test_a_worker_says_what_it_serves(start_worker: StartWorker) -> None:
    worker = start_worker("--burst", "--queues", "mail,documents", "--concurrency", "2")
    assert worker.wait() == 0
    assert "django_jobs 0." in worker.output
    assert "queues     mail, documents" in worker.output
    assert re.search(r"jobs       \S+, .+ and \d+ more", worker.output)
    assert "1 process of 2 threads" in worker.output


def test_only_the_named_queues_are_served(start_worker: StartWorker) -> None:
    served = sample.named.enqueue(1)
    other = sample.add.enqueue(1)
    assert start_worker("--burst", "--queues", "documents").wait() == 0
    assert served.refresh().state == "succeeded"
    assert other.refresh().state == "ready"


def test_a_queue_created_later_is_served_and_noted(start_worker: StartWorker) -> None:
    start_worker(HEARTBEAT_INTERVAL=0.1)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    job = sample.add.using(queue_name="brand new").enqueue(1)
    assert ended(job) == ["succeeded"]
    wait_until(lambda: Queue.objects.filter(name="brand new").exists())


def test_a_paused_queue_waits_until_it_is_resumed(start_worker: StartWorker) -> None:
    pause("default", by="a test")
    waiting = sample.add.enqueue(1)
    other = sample.named.enqueue(1)
    start_worker()
    assert ended(other) == ["succeeded"]
    assert waiting.refresh().state == "ready"
    resume("default")
    assert ended(waiting) == ["succeeded"]


def test_two_processes_share_the_work(start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker("--processes", "2", "--concurrency", "1")
    jobs = [misbehaving.wait_for_file.enqueue(str(tmp_path / name)) for name in ("a", "b")]
    pids = {wait_for_start(tmp_path / name) for name in ("a", "b")}
    assert len(pids) == 2
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert ended(*jobs) == ["succeeded"] * 2


def test_async_jobs_run_many_at_once_in_one_process(start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker("--concurrency", "1")
    jobs = [misbehaving.wait_for_file_async.enqueue(str(tmp_path / str(number))) for number in range(50)]
    pids = {wait_for_start(tmp_path / str(number)) for number in range(50)}
    assert len(pids) == 1
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert ended(*jobs) == ["succeeded"] * 50


def test_what_a_job_says_of_itself_is_saved(start_worker: StartWorker) -> None:
    job = misbehaving.note_metadata.using(metadata={"tenant": "blue"}).enqueue()
    assert start_worker("--burst").wait() == 0
    job.refresh()
    assert job.result == "blue"
    assert job.metadata == {"tenant": "blue", "seen_by": "default"}
    assert (job.progress_done, job.progress_total, job.progress_message) == (3, 7, "three of seven")


def test_a_retry_asked_for_comes_when_it_was_asked_for(start_worker: StartWorker) -> None:
    job = misbehaving.retry_soon.enqueue()
    start_worker(POLL_INTERVAL=60, POLL_INTERVAL_WITHOUT_NOTIFY=60)
    assert ended(job) == ["succeeded"]
    assert outcomes(job) == ["retried", "succeeded"]
    first, second = job.attempts.order_by("claim_number")
    assert second.started_at - first.finished_at >= timedelta(seconds=0.2)


def test_a_job_that_uses_up_its_tries_is_a_dead_letter(start_worker: StartWorker) -> None:
    job = sample.fail.enqueue("broken for good")
    worker = start_worker()
    assert ended(job) == ["dead"]
    letter = job.dead_letters.get()
    assert (letter.status, letter.reason, letter.attempt) == ("open", "attempts_used_up", 2)
    assert (letter.error_class, letter.error_message) == ("builtins.RuntimeError", "broken for good")
    assert "raise RuntimeError(message)" in letter.traceback
    assert "django_jobs/worker" not in letter.traceback
    worker.wait_for_line(r"ERROR .*is dead \(attempts_used_up\) after 2 attempts: RuntimeError: broken for good")
    worker.wait_for_line(r"INFO .* ready: jobs are taken")
    assert worker.output.count("raise RuntimeError(message)") == 2, "each failure once"


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_a_job_that_does_its_work_is_one_line_to_those_who_ask_for_it(start_worker: StartWorker, pool: str) -> None:
    sample.echo.enqueue(7)
    quiet = start_worker("--burst", "--pool", pool)
    assert quiet.wait() == 0, quiet.output
    assert "echo) " not in quiet.output
    assert "ready:" not in quiet.output, "a burst ends; nobody waits for it to take jobs"
    job = sample.echo.enqueue(8)
    talking = start_worker("--burst", "--pool", pool, "-v", "2")
    assert talking.wait() == 0, talking.output
    lines = [line for line in talking.lines if "echo) " in line]
    assert len(lines) == 1, lines
    (line,) = lines
    assert re.search(rf"DEBUG .* job {job.pk} \({sample.echo.name}\) succeeded in \d\.\d\d\d s$", line)


def test_an_unknown_job_is_held_and_costs_no_try(start_worker: StartWorker) -> None:
    job = django_jobs.find_job("elsewhere.unknown", unknown="allow").enqueue(number=1)
    worker = start_worker("--burst", UNKNOWN_JOB_RETRY_DELAY=60)
    assert worker.wait() == 0
    job.refresh()
    assert (job.state, job.attempt, outcomes(job)) == ("scheduled", 0, [])
    assert job.unknown_since is not None
    assert "no job of this name is registered" in worker.output


def test_an_unknown_job_is_dead_after_its_time(start_worker: StartWorker) -> None:
    job = django_jobs.find_job("elsewhere.unknown", unknown="allow").enqueue()
    start_worker(UNKNOWN_JOB_RETRY_DELAY=0.05, UNKNOWN_JOB_TTL=0.2)
    assert ended(job) == ["dead"]
    assert job.dead_letters.get().reason == "unknown_job"
    assert outcomes(job) == []


def test_a_model_instance_is_loaded_fresh_and_its_loss_discards(start_worker: StartWorker) -> None:
    customer, gone = Customer.objects.create(name="Ada"), Customer.objects.create(name="Bo")
    greeted, missed = sample.greet.enqueue(customer), sample.greet.enqueue(gone)
    Customer.objects.filter(pk=customer.pk).update(name="Ada Lovelace")
    gone.delete()
    assert start_worker("--burst").wait() == 0
    assert greeted.refresh().result == "Hello Ada Lovelace"
    assert missed.refresh().state == "dead"
    assert missed.dead_letters.get().reason == "discarded"


def test_jobs_work_is_the_same_worker(start_worker: StartWorker) -> None:
    job = sample.add.enqueue(1, 1)
    assert start_worker("--burst", command=("jobs", "work"), complete=True).wait() == 0
    assert job.refresh().result == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--concurrency", "0"), "expected a whole number of at least 1, got '0'"),
        (("--processes", "many"), "expected a whole number of at least 1, got 'many'"),
        (("--queues", "a,,b"), "expected 1 to 100 printable characters"),
    ],
)
def test_a_wrong_option_is_refused_by_name(start_worker: StartWorker, arguments: tuple[str, ...], message: str) -> None:
    worker = start_worker(*arguments)
    assert worker.wait() == 2
    assert arguments[0] in worker.output
    assert message in worker.output
