"""The lines that ``python3 tests`` prints before it begins: databases, servers, and how long it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from tests.databases import OUTPUT, TITLES, address, database

FILE = OUTPUT / "seconds.json"
ESTIMATES = {"fast": {"sqlite": 60}, "all": {"sqlite": 900, "postgresql": 1_000, "mysql": 1_000}}
"""On two processors, as long as no run here has told."""


def announcement(reasons: Mapping[str, str | None], *, kind: str, is_parallel: bool) -> Iterator[str]:
    """Yield the lines. ``reasons``: why each vendor is not used, None if it is; ``kind``: a key of ``ESTIMATES``."""
    yield "The tests of django_jobs run on"
    used = [vendor for vendor, reason in reasons.items() if reason is None]
    for vendor, reason in reasons.items():
        yield f"  {TITLES[vendor]:16} {_where(vendor) if reason is None else f'skipped: {reason}'}"
    yield "No other database is touched. Tests that kill a server start one of their own, in a temporary folder."
    known = seconds_of_last_runs().get(kind, {})
    estimates = {**ESTIMATES.get(kind, ESTIMATES["all"]), **known}
    each = [estimates.get(vendor, 900) for vendor in used]
    seconds = max(each, default=0) if is_parallel else sum(each)
    told = "as the last run did" if known.keys() >= set(used) else "an estimate"
    shorter = "" if kind == "fast" else " 'python3 tests --fast' takes about one minute."
    yield f"It takes about {max(1, round(seconds / 60))} min ({told}).{shorter}"
    yield "Failures are shown as they come; Ctrl-C stops."


def _where(vendor: str) -> str:
    settings = database(vendor)
    if vendor == "sqlite":
        return f"creates the file {settings['TEST']['NAME']}"
    where, name = address(vendor), f"test_{settings['NAME']}"
    return f"creates and drops the database {name} at {where['HOST']}:{where['PORT']}, as {where['USER']}"


def seconds_of_last_runs() -> dict[str, dict[str, float]]:
    """Return how long the last runs took that passed: by kind, then by vendor."""
    try:
        found = json.loads(FILE.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(kind: str, seconds: Mapping[str, float]) -> None:
    """Store how long a whole run of ``kind`` took on each vendor."""
    known = seconds_of_last_runs()
    known[kind] = {**known.get(kind, {}), **{vendor: round(number) for vendor, number in seconds.items()}}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(known))
