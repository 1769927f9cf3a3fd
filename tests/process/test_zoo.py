"""For any job of a zoo of misbehaving ones, its neighbours end as if it had not been there.

Each animal has neighbours before, beside and after it, of three kinds. They return what they see of their thread, their
task and their database, and that is what neighbours see in a worker without animals. A worker of each pool has the
whole zoo, or only the animals that ``DJANGO_JOBS_TEST_ANIMALS`` names, with commas.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import pytest

from django_jobs.models import Job
from tests.databases import chosen_vendor, used_vendors
from tests.sampleapp.models import Customer
from tests.zoo.animals import ANIMALS
from tests.zoo.neighbours import AFTER, BEFORE, RESIDENT
from tests.zoo.sessions import SESSION_ANIMALS

from .conftest import StartWorker
from .running import RunningWorker

CHOSEN = os.environ.get("DJANGO_JOBS_TEST_ANIMALS", "")
HERE = ANIMALS if chosen_vendor() == "sqlite" or "sqlite" not in used_vendors() else SESSION_ANIMALS
"""If the database plays no part, one is enough."""
ZOO = [animal for animal in HERE if not CHOSEN or animal.name.removeprefix("zoo.") in CHOSEN.split(",")]
SECONDS = 90
"""The whole zoo takes a tenth of it where nothing else runs."""
POOLS = {
    "one thread": ("--concurrency", "1"),
    "four threads": ("--concurrency", "4"),
    "processes": ("--concurrency", "2", "--pool", "processes"),
}
POOLS_HERE = list(POOLS) if HERE is ANIMALS else ["one thread", "processes"]
"""A session is left to the next job of its thread or process."""


@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize("pool", POOLS_HERE)
def test_neighbours_of_any_job_end_as_if_it_had_not_been_there(
    start_worker: StartWorker, worker_environment: dict[str, str], pool: str
) -> None:
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "tests.zoo"
    Customer.objects.create(name=RESIDENT)
    alone = [kind.enqueue() for kind in AFTER]
    worker = start_worker("--burst", *POOLS[pool])
    assert worker.wait() == 0, worker.output
    undisturbed = {job.name: _ending(job) for job in alone}
    assert {job.state for job in alone} == {"succeeded"}, worker.output

    neighbours: dict[str, list[Job]] = {}
    for animal in ZOO:
        before = [kind.enqueue() for kind in BEFORE]
        animal.enqueue()
        neighbours[animal.name] = before + [kind.enqueue() for kind in AFTER]
    # A job at whose side a worker has died runs in a process of its own, and alone.
    worker = start_worker("--burst", *POOLS[pool], MAX_WORKER_DEATHS=2)
    has_ended = _wait(worker)

    disturbed = [
        f"{animal} has disturbed {job.name}: {difference}"
        for animal, jobs in neighbours.items()
        for job in jobs
        if (difference := dict(_ending(job).items() - undisturbed[job.name].items()))
    ]
    said = "\n".join(worker.lines[-60:])
    assert not disturbed, "\n".join([said, *disturbed])
    assert has_ended, said


def _wait(worker: RunningWorker) -> bool:
    """Tell whether the worker ends well, by itself."""
    with suppress(subprocess.TimeoutExpired):
        return worker.process.wait(SECONDS) == 0
    return False


def _ending(job: Job) -> dict[str, str]:
    """Return how a neighbour ended, what it saw, and whether its row is there; a worker's death leaves no trace."""
    result = job.refresh().result or {}
    return {key: str(value) for key, value in result.items()} | {
        "state": job.state,
        "error": str(job.error),
        "outcomes": str(set(job.attempts.values_list("outcome", flat=True)) - {"lost"}),
        "has left its row": str(Customer.objects.filter(name=f"neighbour {job.pk}").exists()),
    }
