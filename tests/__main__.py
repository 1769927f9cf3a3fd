"""Run all tests on every database at hand: ``python3 tests``.

The first start makes a virtual environment in ``.venv``, with nothing but Python; later ones find it there. SQLite
is always used, PostgreSQL and MariaDB or MySQL if they answer (see ``tests/databases.py`` for their addresses).
Begins with the servers it uses, the databases it creates there, and how long it takes. Ends with what was used and what
was skipped, and why.

``python3 tests --fast`` takes less than a minute: SQLite only, no test marked ``slow``, few examples a property, a
process for each processor. ``python3 tests --release`` runs every test on every database, and what only a release
must pass.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)

from testproject.bootstrap import DEVELOPMENT, ensure_environment  # noqa: E402 - Python puts this folder first on the path
from tests.announcement import announcement, remember  # noqa: E402 - see above
from tests.databases import OUTPUT, REQUIRE_ALL, TITLES, USED, VENDORS, why_not  # noqa: E402 - see above

NOTHING_COLLECTED = 5
FAST = ("-m", "not slow", "--hypothesis-profile=fast", "--numprocesses=auto", "--quiet")


@dataclass(frozen=True, kw_only=True)
class Run:
    """How the suite went on one database. ``skipped`` says why it did not go at all."""

    vendor: str
    code: int = 0
    seconds: float = 0.0
    skipped: str | None = None


def main(arguments: list[str]) -> int:
    """Run the suite once for each database and return the exit code."""
    options, for_pytest = parse(arguments)
    ensure_environment(DEVELOPMENT)
    if options.fast:
        options.database = options.database or "sqlite"
        for_pytest = [*FAST, *for_pytest]
    if options.release:
        for_pytest = ["--release", *for_pytest]
    vendors = [options.database] if options.database else list(VENDORS)
    if options.coverage:
        shutil.rmtree(OUTPUT / "coverage", ignore_errors=True)
        (OUTPUT / "coverage").mkdir(parents=True)
    reasons = {vendor: why_not(vendor) for vendor in vendors}
    usable = [vendor for vendor in vendors if reasons[vendor] is None]
    together = options.together.split(",") if options.together else usable
    if not options.release:
        os.environ[USED] = ",".join(together)
    whole = {"fast": FAST, "release": ("--release",), "all": ()}
    kind = next(name for name in whole if name == "all" or getattr(options, name))
    for line in announcement(reasons, kind=kind, is_parallel=options.parallel):
        print(line, flush=True)

    def suite(vendor: str, output: IO[str] | None = None) -> Run:
        first = vendor == together[0]
        return run_suite(vendor, for_pytest, with_unit_tests=first, coverage=options.coverage, output=output)

    if options.require_all:
        os.environ[REQUIRE_ALL] = "1"

    runs = side_by_side(usable, suite) if options.parallel else [suite(vendor) for vendor in usable]
    if tuple(for_pytest) == whole[kind] and not any(run.code for run in runs):
        remember(kind, {run.vendor: run.seconds for run in runs})
    runs += [Run(vendor=vendor, skipped=reason) for vendor, reason in reasons.items() if reason]
    if options.coverage:
        report_coverage()
    return summarise(runs, require_all=options.require_all or options.database is not None)


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return our own options and the arguments that pytest is to have."""
    parser = argparse.ArgumentParser(
        prog="python3 tests",
        description="Run the tests on every database at hand.",
        epilog="All other arguments go to pytest.",
        allow_abbrev=False,
    )
    parser.add_argument("--database", choices=VENDORS, help="use this database only")
    parser.add_argument(
        "--together",
        metavar="DATABASES",
        help="with --database: it is one of these, sqlite,mysql for example, and leaves to the others what they run",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="under a minute: SQLite, few examples, nothing that is marked slow",
    )
    parser.add_argument(
        "--release",
        action="store_true",
        help="every test on every database, and what only a release must pass",
    )
    parser.add_argument(
        "--require-all",
        action="store_true",
        help="a missing server, driver or program is a failure, not a skip",
    )
    parser.add_argument("--coverage", action="store_true", help="measure branch coverage over all runs and report it")
    parser.add_argument(
        "--parallel", action="store_true", help="all databases side by side; each is shown when it has ended"
    )
    return parser.parse_known_args(arguments)


def side_by_side(vendors: list[str], suite: Callable[[str, IO[str]], Run]) -> list[Run]:
    """Run the suites of all ``vendors`` at once and print what each said when it has ended."""

    def whole(vendor: str) -> Run:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            run = suite(vendor, output)
            output.seek(0)
            with printing:
                print(output.read(), end="", flush=True)
        return run

    printing = threading.Lock()
    with ThreadPoolExecutor(len(vendors)) as pool:
        return list(pool.map(whole, vendors))


def run_suite(
    vendor: str,
    for_pytest: list[str],
    *,
    with_unit_tests: bool,
    coverage: bool,
    output: IO[str] | None = None,
) -> Run:
    """Run pytest on one database, into ``output``. What needs no database runs with the first only."""
    print(f"\n=== {TITLES[vendor]} ===", file=output, flush=True)
    command = [sys.executable, "-m"]
    if coverage:
        command += ["coverage", "run", "-m"]
    command += ["pytest", "-p", "tests.failures", *for_pytest]
    if not with_unit_tests:
        command.append("--ignore=tests/unit")
    began = time.monotonic()
    finished = subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        env=environment() | {"DJANGO_JOBS_TEST_DATABASE": vendor},
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )
    code = finished.returncode
    if code == NOTHING_COLLECTED and not with_unit_tests:
        code = 0
    return Run(vendor=vendor, code=code, seconds=time.monotonic() - began)


def environment() -> dict[str, str]:
    return {**os.environ, "COVERAGE_FILE": str(OUTPUT / "coverage" / "data")}


def report_coverage() -> None:
    """Put the measurements of all runs together and print them."""
    for step in (["combine", "--quiet"], ["report", "--skip-covered", "--show-missing"]):
        subprocess.run([sys.executable, "-m", "coverage", *step], cwd=ROOT, check=False, env=environment())


def summarise(runs: list[Run], *, require_all: bool) -> int:
    """Print which databases were used and which were skipped; return the exit code."""
    print("\nDatabases", flush=True)
    for run in runs:
        if run.skipped:
            how = f"{'MISSING' if require_all else 'skipped'}: {run.skipped}"
        else:
            how = f"{'passed' if run.code == 0 else f'FAILED (exit code {run.code})'} in {run.seconds:.0f} s"
        print(f"  {TITLES[run.vendor]:16} {how}", flush=True)
    failed = any(run.code for run in runs)
    missing = require_all and any(run.skipped for run in runs)
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
