"""Worker processes are configured as the process was that started them, and say so where they cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.concurrency import DEADLINE_SECONDS
from tests.databases import ROOT
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import outcomes


@pytest.fixture
def project(tmp_path: Path, worker_environment: dict[str, str]) -> Path:
    """A folder for the modules of a project, which workers can import."""
    worker_environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{worker_environment['PYTHONPATH']}"
    return tmp_path


def _write(project: Path, **modules: str) -> None:
    for name, text in modules.items():
        (project / f"{name}.py").write_text(dedent(text))


def _run(project: Path, environment: dict[str, str], *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(("existing", "pool"), [("", "threads"), ("'disable_existing_loggers': True,", "processes")])
def test_a_logging_setting_does_not_mute_the_worker(
    start_worker: StartWorker, project: Path, worker_environment: dict[str, str], existing: str, pool: str
) -> None:
    _write(
        project,
        quiet_settings=f"""
            import django_jobs, logging
            logging.getLogger("django_jobs.store")
            from testproject.test_settings import *
            LOGGING = {{
                "version": 1, {existing}
                "formatters": {{"plain": {{"format": "MINE %(name)s %(levelname)s %(message)s"}}}},
                "handlers": {{"console": {{"class": "logging.StreamHandler", "formatter": "plain"}}}},
                "root": {{"handlers": ["console"], "level": "INFO"}},
            }}
            """,
    )
    worker_environment["DJANGO_SETTINGS_MODULE"] = "quiet_settings"
    misbehaving.return_object.enqueue()
    worker = start_worker("--burst", "--pool", pool, "--concurrency", "1")
    assert worker.wait() == 0, worker.output
    worker.wait_for_line(r"MINE django_jobs.worker INFO worker process \d+ ends: nothing is ready or due")
    worker.wait_for_line(r"MINE django_jobs.worker WARNING job .* result cannot be stored")


CONFIGURATIONS = """
    import os, sys, types, django
    def setup(app=None):
        import classes
        module = types.ModuleType("of_class")
        module.__dict__.update(vars(getattr(classes, os.environ["DJANGO_CONFIGURATION"])))
        sys.modules["of_class"] = module
        django.setup()
    """
CLASSES = """
    from testproject import test_settings
    Dev = type("Dev", (), {name: value for name, value in vars(test_settings).items() if name.isupper()})
    """
MANAGE = """
    import sys
    from django.core.management import execute_from_command_line
    if __name__ == "__main__":
        import {module}
        {module}.{function}()
        execute_from_command_line(sys.argv)
    """


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_project_with_configurations_are_configured(
    project: Path, worker_environment: dict[str, str], method: str
) -> None:
    """The package, in what matters here: the settings are attributes of a class that it loads."""
    _write(
        project,
        configurations=CONFIGURATIONS,
        classes=CLASSES,
        manage=MANAGE.format(module="configurations", function="setup"),
    )
    worker_environment |= {
        "DJANGO_SETTINGS_MODULE": "of_class",
        "DJANGO_CONFIGURATION": "Dev",
        "DJANGO_JOBS_TEST_OPTIONS": json.dumps({"WORKER": {"START_METHOD": method}}),
    }
    jobs = [sample.add.enqueue(1, 2), misbehaving.tell_process.enqueue()]
    type(jobs[1]).objects.filter(pk=jobs[1].pk).update(worker_deaths=2)  # runs in a job process
    code, output = _run(project, worker_environment, str(project / "manage.py"), "runworker", "--burst")
    assert (code, [outcomes(job) for job in jobs]) == (0, [["succeeded"]] * 2), output


def test_workers_are_configured_by_the_function_that_the_settings_name(
    project: Path, worker_environment: dict[str, str]
) -> None:
    _write(
        project,
        shop_setup="""
            def configure():
                from django.conf import settings
                from testproject import test_settings
                if not settings.configured:
                    values = {name: value for name, value in vars(test_settings).items() if name.isupper()}
                    worker = {"WORKER": {"PROCESS_SETUP": "shop_setup.configure", "START_METHOD": "spawn"}}
                    settings.configure(**{**values, "DJANGO_JOBS": worker})
                    import django, logging.config
                    django.setup()
                    logging.config.dictConfig({"version": 1})  # disables the loggers that there are
            """,
        manage=MANAGE.format(module="shop_setup", function="configure"),
    )
    worker_environment.pop("DJANGO_SETTINGS_MODULE")
    job = sample.add.enqueue(1, 2)
    code, output = _run(project, worker_environment, str(project / "manage.py"), "runworker", "--burst")
    assert (code, outcomes(job)) == (0, ["succeeded"]), output
    assert "ends: nothing is ready or due" in output


UNGUARDED = """
    import django
    django.setup()
    from django.core.management import call_command
    call_command("runworker", "--burst", "--processes", "2", verbosity=0)
    """
WITH_JOB = """
    import django
    django.setup()
    from django_jobs import job
    @job
    def greet(): ...
    from django.core.management import call_command
    if __name__ == "__main__":
        call_command("runworker", "--burst", verbosity=0)
    """


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            UNGUARDED,
            "starts workers when it is imported, and each worker process imports it: put the call under if __name",
        ),
        (WITH_JOB, "job __main__.greet: worker processes import the script that was started under another name"),
    ],
    ids=["unguarded", "job"],
)
def test_a_script_whose_import_breaks_workers_is_a_clear_error(
    project: Path, worker_environment: dict[str, str], script: str, error: str
) -> None:
    _write(project, script=script)
    worker_environment["DJANGO_JOBS_TEST_OPTIONS"] = json.dumps({"WORKER": {"START_METHOD": "spawn"}})
    code, output = _run(project, worker_environment, str(project / "script.py"))
    assert code == 1
    assert error in output
    assert output.count("Traceback") == 1, "that of call_command's own caller"


def test_a_job_with_a_name_runs_from_the_script_that_defines_it(
    project: Path, worker_environment: dict[str, str]
) -> None:
    import django_jobs

    _write(project, script=WITH_JOB.replace("@job\n", "@job(name='tests.greet')\n"))
    registered = django_jobs.job(name="tests.greet")(lambda: None)
    try:
        job = registered.enqueue()
        code, output = _run(project, worker_environment, str(project / "script.py"))
        assert (code, outcomes(job)) == (0, ["succeeded"]), output
    finally:
        django_jobs.registry._definitions.pop("tests.greet")
