import ast
import subprocess
import sys

import django_jobs
from tests.databases import ROOT

PACKAGE = ROOT / "django_jobs"


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


TURNS_TEXT_INTO_CODE = {"eval", "exec", "compile", "__import__", "import_module", "import_string"}
TURNS_BYTES_INTO_OBJECTS = {"pickle", "marshal", "shelve", "dill", "yaml", "jsonpickle"}


def test_nothing_that_is_stored_can_become_code():
    """Names in rows are looked up in the registry; the multiprocessing pipe to a worker's own child is no store.

    What the settings STATUS["ACCESS_CHECK"] and WORKER["PROCESS_SETUP"] name is the project's own code, as they are.
    """
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).removeprefix("importlib.")
                found |= {f"{path.name}: {name}"} if name in TURNS_TEXT_INTO_CODE else set()
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                found |= {f"{path.name}: {one}" for one in modules if one.split(".")[0] in TURNS_BYTES_INTO_OBJECTS}
    assert found == {"access.py: import_string", "process_setup.py: import_string"}
