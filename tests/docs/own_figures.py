"""The few figures of docs/performance.md that docs/choosing.md repeats."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
ROWS = {
    "enqueue one at a time, autocommit, jobs/s": "one enqueue after another, jobs/s",
    "drain of 50,000, jobs/s": "drain by one worker process, jobs/s",
    "enqueue to start, every 20 to 60 ms, p50 ms": "enqueue to start, median ms",
}
DATABASES = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}


def own_figures() -> str:
    """Return the table: django_jobs beside the plain program of the same run, by database."""
    text = PAGE.read_text()
    head = ["figure", *(f"{name}: here, plain" for name in DATABASES.values())]
    lines = [head, ["---", *["---:"] * len(DATABASES)]]
    for row, label in ROWS.items():
        lines.append([label, *(_figures(text, vendor, row) for vendor in DATABASES)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(text: str, vendor: str, row: str) -> str:
    place = re.search(rf"<!-- figures: {vendor} -->(.*?)<!-- end of figures -->", text, re.DOTALL)
    found = place and re.search(rf"^\| {re.escape(row)} \| ([^|]+) \| ([^|]+) \|", place[1], re.MULTILINE)
    return f"{found[1].strip()}, {found[2].strip()}" if found else ""
