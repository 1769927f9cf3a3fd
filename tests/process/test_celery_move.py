"""A real worker of Celery and one of django_jobs side by side, in a project of which one task has moved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_jobs.models import Job
from tests.concurrency import wait_until
from tests.databases import ROOT
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.sampleapp.models import Customer

celery = pytest.importorskip("celery")
pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

FOLDERS = {"data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control"}
"""Options of the broker in files; without the last, every run of the tests would share one in the current folder."""
FILES = {
    "settings.py": """
from testproject.test_settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "moving.apps.MovingConfig"]
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {broker}
MOVED_TASK_DEFAULT_QUEUE = "moved"
""",
    "__init__.py": """
from .celery import app as celery_app
""",
    "celery.py": """
from celery import Celery

from django_jobs.contrib.celery import Celery as JobsCelery

app = Celery("moving")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

jobs_app = JobsCelery("moving")
jobs_app.config_from_object("django.conf:settings", namespace="MOVED")
jobs_app.autodiscover_tasks()
""",
    "apps.py": """
from django.apps import AppConfig


class MovingConfig(AppConfig):
    name = "moving"

    def ready(self):
        from django_jobs.contrib.celery import forward_messages
        from moving.celery import app

        forward_messages(app)
""",
    "tasks.py": """
import celery

from django_jobs.contrib.celery import shared_task
from moving.jobs import arrive


@celery.shared_task
def old(name):
    arrive.enqueue(name)  # a job from a task of Celery


@shared_task(bind=True)
def moved(self, name):
    old.delay(name)  # a task of Celery from a job
    return self.request.delivery_info["routing_key"]
""",
    "jobs.py": """
from django_jobs import job
from tests.sampleapp.models import Customer


@job
def arrive(name):
    Customer.objects.create(name=name)
""",
}


@pytest.fixture
def broker(tmp_path: Path, worker_environment: dict[str, str]) -> Iterator[object]:
    """A sender of messages, as old processes of the project are, and a worker of Celery."""
    options = {option: str(tmp_path / folder) for option, folder in FOLDERS.items()}
    (tmp_path / "moving").mkdir()
    for folder in set(options.values()):
        Path(folder).mkdir()
    for name, text in FILES.items():
        (tmp_path / "moving" / name).write_text(text.replace("{broker}", repr(options)))
    worker_environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), worker_environment["PYTHONPATH"]])
    worker_environment["DJANGO_SETTINGS_MODULE"] = "moving.settings"
    sender = celery.Celery("sender", broker="filesystem://", set_as_current=False)
    sender.conf.broker_transport_options = options
    sender.send_task("moving.tasks.moved", ("Ada",))
    chain = sender.signature("moving.tasks.moved", ("Bob",)) | sender.signature("moving.tasks.moved")
    chain.apply_async()
    quiet = ["-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO"]
    with (tmp_path / "output").open("w") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "moving", "worker", *quiet],
            env=worker_environment, cwd=ROOT, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        yield tmp_path / "output"
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    sender.close()


def test_messages_become_jobs_and_both_call_each_other(broker: Path, start_worker: StartWorker) -> None:
    moved = Job.objects.filter(name="moving.tasks.moved")
    wait_until(lambda: moved.count() == 2, "Celery forwards the message, and the first of the chain")
    worker = start_worker()
    job = moved.get(arguments__name="Ada")
    assert ended(job) == ["succeeded"], worker.output
    assert (job.result, job.arguments, job.queue_name) == ("moved", {"name": "Ada"}, "moved")
    wait_until(Customer.objects.filter(name="Ada").exists, "a task of Celery enqueues a job")
    wait_until(moved.filter(arguments__name="moved").exists, "the chain goes on with the result of the job")
    assert moved.count() == 3
    assert worker.stop() == 0, worker.output
    assert "Received unregistered task" not in broker.read_text()
