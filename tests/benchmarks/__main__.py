"""Measure the engine on every database at hand: ``python3 tests/benchmarks``.

Uses the virtual environment of the tests. SQLite is always measured, PostgreSQL and MariaDB or MySQL where
they answer (``tests/databases.py`` has their addresses), each in a process and a database of its own that is
dropped at the end. Beside each figure of the engine stands the *limit*: what a program for this one
purpose reaches in the same run, with hand-written SQL on the bare driver, the same rows and the
same durability. Times depend on the machine; the ratio of engine to limit hardly does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(ROOT)

from testproject.bootstrap import DEVELOPMENT, ensure_environment  # noqa: E402 - python3 tests/benchmarks puts that folder first
from tests.benchmarks.markdown import MEASURES_OF_THE_PAGE, as_markdown, write_into  # noqa: E402 - see above
from tests.benchmarks.names import MEASURES  # noqa: E402 - see above
from tests.benchmarks.options import STANDARD_OUTPUT, Options, parse  # noqa: E402 - see above
from tests.benchmarks.report import as_json, as_table  # noqa: E402 - see above
from tests.databases import TITLES, VENDORS, why_not  # noqa: E402 - see above

DATABASE_NAME = f"django_jobs_benchmark_{zlib.crc32(str(ROOT).encode()):08x}"
"""A checkout's own: two of them may measure on one server at once."""


def main(arguments: list[str]) -> int:
    """Measure, print, and return the exit code: 0 however fast or slow it was."""
    options = parse(arguments, measures=list(MEASURES))
    if options.markdown and not options.only:
        options = replace(options, only=MEASURES_OF_THE_PAGE)
    ensure_environment(DEVELOPMENT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    measured: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for vendor in options.databases or VENDORS:
        if reason := why_not(vendor):
            skipped[vendor] = reason
            print(f"{TITLES[vendor]}: skipped, {reason}", file=sys.stderr, flush=True)
            continue
        measured[vendor] = measure(vendor, options)
    show(measured, skipped, options)
    return 0 if measured and all(measured.values()) else 1


def show(measured: dict[str, Any], skipped: dict[str, str], options: Options) -> None:
    """Print the figures in the form that was asked for, or write them into a page."""
    if options.markdown not in (None, STANDARD_OUTPUT):
        write_into(Path(options.markdown), measured, options)
    elif options.markdown:
        print(as_markdown(measured, options))
    elif options.as_json:
        print(as_json(measured, skipped, options))
    else:
        print(as_table(measured, skipped, options))


def measure(vendor: str, options: Options) -> dict[str, Any] | None:
    """Measure on one database, in a process of its own; None where that failed and said why."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.one_database", options.dump()],
        cwd=ROOT,
        env=environment(vendor),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        output, _ = child.communicate()
    except (KeyboardInterrupt, SystemExit):
        child.terminate()
        child.wait()
        raise
    if child.returncode:
        return None
    result: dict[str, Any] = json.loads(output)
    return result


def environment(vendor: str) -> dict[str, str]:
    """Return the environment of the process that measures, and of the workers that it starts."""
    name = str(ROOT / "test-output" / f"{DATABASE_NAME}.sqlite3") if vendor == "sqlite" else DATABASE_NAME
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
        "DJANGO_JOBS_TEST_DATABASE": vendor,
        "DJANGO_JOBS_TEST_NAME": name,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
