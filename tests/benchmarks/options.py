"""What is to be measured and how large, as one value that travels to the process of each database."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tests.databases import VENDORS

from .names import BROKERS

STANDARD_OUTPUT = "-"
QUICK = 20
"""``--quick`` divides every number by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many jobs each measure takes; ``idle_seconds`` is how long an idle worker is watched."""

    drain: int = 50_000
    enqueue: int = 2_000
    bulk: int = 10_000
    stream: int = 1_000_000
    chain: int = 1_000
    wide: int = 100
    deep: int = 10
    queues: int = 1_000
    latency: int = 200
    latency_quiet: int = 15
    pruning: int = 100_000
    soak_minutes: int = 1
    fleet_jobs: int = 4_800
    idle_workers: int = 100
    singles: int = 200
    waiting: int = 1_000_000
    scheduled: int = 200_000
    finished: int = 1_000_000
    schedules: int = 10_000
    on_time: int = 30
    messages: int = 10_000
    page_jobs: int = 1_000_000
    few_jobs: int = 10_000
    idle_seconds: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``databases`` empty: all that answer. ``only`` empty: all measures. ``brokers`` empty: each that can be started.

    ``markdown``: a page, or ``-`` to print.
    """

    databases: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    brokers: tuple[str, ...] = ()
    rounds: int = 1
    as_json: bool = False
    markdown: str | None = None
    sizes: Sizes = Sizes()

    def dump(self) -> str:
        """Return all of it as JSON text."""
        return json.dumps(asdict(self))


def load(text: str) -> Options:
    """Return what ``dump`` wrote."""
    given = json.loads(text)
    return Options(
        databases=tuple(given["databases"]),
        only=tuple(given["only"]),
        brokers=tuple(given["brokers"]),
        rounds=given["rounds"],
        as_json=given["as_json"],
        markdown=given["markdown"],
        sizes=Sizes(**given["sizes"]),
    )


def parse(arguments: Sequence[str], *, measures: Sequence[str]) -> Options:
    """Read the command line; ends the process where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python3 tests/benchmarks",
        description="Measure the engine on every database at hand, beside a program without Django or the engine.",
        allow_abbrev=False,
    )
    parser.add_argument("--database", action="append", choices=VENDORS, help="use this database; may be repeated")
    parser.add_argument("--only", action="append", choices=measures, help="take this measure; may be repeated")
    parser.add_argument("--broker", action="append", choices=BROKERS, help="measure this broker; may be repeated")
    parser.add_argument("--jobs", type=int, metavar="N", help="jobs of a drain (default 50,000)")
    parser.add_argument("--pruned", type=int, metavar="N", help="jobs that are pruned (default 100,000)")
    parser.add_argument("--minutes", type=int, metavar="N", help="length of the soak (default 1)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="repeat each measure and report medians")
    parser.add_argument("--quick", action="store_true", help=f"everything about {QUICK} times smaller")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--markdown",
        nargs="?",
        const=STANDARD_OUTPUT,
        metavar="PAGE",
        help="print what one job costs as Markdown, or write it into a page of the docs; without --only, no more than"
        " that is measured",
    )
    given = parser.parse_args(arguments)
    sizes = _smaller(Sizes()) if given.quick else Sizes()
    if given.pruned:
        sizes = replace(sizes, pruning=max(given.pruned, 10))
    sizes = replace(sizes, soak_minutes=max(given.minutes or 1, 1))
    return Options(
        databases=tuple(given.database or ()),
        only=tuple(given.only or ()),
        brokers=tuple(given.broker or ()),
        rounds=max(given.rounds, 1),
        as_json=given.json,
        markdown=given.markdown,
        sizes=replace(sizes, drain=max(given.jobs, 10)) if given.jobs else sizes,
    )


def _smaller(sizes: Sizes) -> Sizes:
    return Sizes(**{name: max(number // QUICK, 5) for name, number in asdict(sizes).items()})
