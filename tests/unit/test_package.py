import subprocess
import sys

import django_jobs
from tests.databases import ROOT


def test_every_public_name_is_there_and_explained():
    for name in django_jobs.__all__:
        assert getattr(django_jobs, name).__doc__, name


def test_a_job_can_be_defined_before_django_is_set_up():
    program = "from django_jobs import job\n@job\ndef work(first): return first\nprint(work.name, work(5))"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "__main__.work 5\n", "")
