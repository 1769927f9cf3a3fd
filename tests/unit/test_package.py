import ast
import subprocess
import sys

import django_jobs
from tests.databases import ROOT
from tests.sources import parse

PACKAGE = ROOT / "django_jobs"


def test_every_public_name_is_there_and_explained():
    for name in django_jobs.__all__:
        assert getattr(django_jobs, name).__doc__, name


def test_a_job_can_be_defined_before_django_is_set_up():
    consumes = "from django_jobs.brokers import consumes\n"
    program = "from django_jobs import job\n@job\ndef work(first): return first\nprint(work.name, work(5))"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", consumes + program],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "__main__.work 5\n", "")


TURNS_TEXT_INTO_CODE = {"eval", "exec", "compile", "__import__", "import_module", "import_string"}
TURNS_BYTES_INTO_OBJECTS = {"pickle", "marshal", "shelve", "dill", "yaml", "jsonpickle"}


MAY_IMPORT_BY_NAME = {
    "apps.py": "the backends of the setting TASKS",
    "conf/release.py": "the setting RELEASE",
    "brokers/connecting.py": "drivers of this package, and of a project that registers a scheme",
    "brokers/interface.py": "the clients of brokers",
    "conf/database.py": "the setting CHOOSE_DATABASE",
    "hooks.py": "the setting HOOKS",
    "web/access.py": 'the setting STATUS["ACCESS_CHECK"]',
    "worker/process_setup.py": 'the setting WORKER["PROCESS_SETUP"]',
    "contrib/celery/app.py": "the modules that an app of Celery names: include, imports, autodiscover_tasks",
    "contrib/celery/conf.py": "the object that config_from_object names",
    "contrib/prometheus/client.py": "the parts of prometheus-client",
    "contrib/tasks/roots.py": "the two packages that Tasks come from",
    "contrib/tasks/source.py": "modules of installed apps and of the setting OPTIONS, where it takes only Tasks",
    "management/verbs.py": "a module of this package",
    "store/readiness.py": "the migrations of this package",
}
"""Where a name becomes a module, and whose names these are: the project's own code, and never any path of a row."""


def test_nothing_that_is_stored_can_become_code():
    """Names in rows are looked up in the registry; the multiprocessing pipe to a worker's own child is no store."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "conformance" in path.parts:
            continue  # tests for the backends of others
        uses = found.setdefault(str(path.relative_to(PACKAGE)), set())
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).removeprefix("importlib.")
                uses |= {name} & TURNS_TEXT_INTO_CODE
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                uses |= {one for one in modules if one.split(".")[0] in TURNS_BYTES_INTO_OBJECTS}
    assert {name for name, uses in found.items() if uses} == set(MAY_IMPORT_BY_NAME)
    assert set().union(*found.values()) == {"import_module", "import_string"}
