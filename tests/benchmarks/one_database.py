"""Take the chosen measures on one database and print the figures as JSON. Started by ``__main__``, one process each.

The environment names Django's settings and the database; the only argument is the options as JSON text.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
from typing import Any

import django
from django.core.management import call_command
from django.db import connections

from tests.benchmarks.names import MEASURES
from tests.benchmarks.options import Options, load
from tests.benchmarks.servers import open_server
from tests.databases import TITLES, chosen_vendor


def main(options: Options) -> dict[str, Any]:
    """Measure in a new database and drop it, whatever happens."""
    vendor = chosen_vendor()
    server = open_server(vendor, os.environ["DJANGO_JOBS_TEST_NAME"])
    server.create()
    try:
        django.setup()
        call_command("migrate", verbosity=0)
        from tests.benchmarks.measures import TAKEN, Place

        place = Place(vendor=vendor, server=server, sizes=options.sizes, brokers=options.brokers)
        figures: dict[str, Any] = {}
        for name in MEASURES:
            if not options.only or name in options.only:
                say(f"{TITLES[vendor]}: {MEASURES[name].strip()}".format(**_sizes(options)))
                figures[name] = take(TAKEN[name], place, options.rounds)
        return {"version": server.version(), "measures": figures}
    finally:
        connections.close_all()
        server.drop()


def take(taken: Any, place: Any, rounds: int) -> dict[str, Any]:
    """Measure engine and limit in turns, each first in every other round; return medians and the rounds themselves."""
    seen: dict[str, list[dict[str, Any]]] = {"engine": [], "limit": []}
    for at in range(rounds):
        both = list(zip(seen, taken, strict=True))
        for which, measure in both if at % 2 == 0 else reversed(both):
            if measure is not None:
                seen[which].append(measure(place))
    return {
        **{which: median(figures) for which, figures in seen.items() if figures},
        "rounds": seen,
    }


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each figure's median, of a list of figures that of each place."""
    return {name: _median([figures[name] for figures in rounds]) for name in rounds[0]}


def _median(values: list[Any]) -> Any:
    if values[0] is None:
        return None
    if isinstance(values[0], list):
        return [statistics.median(at_place) for at_place in zip(*values, strict=True)]
    return statistics.median(values)


def say(text: str) -> None:
    """Tell on the error stream how far it is: the output is the figures'."""
    print(text, file=sys.stderr, flush=True)


def _sizes(options: Options) -> dict[str, int]:
    return {name: getattr(options.sizes, name) for name in options.sizes.__slots__}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        print(json.dumps(main(load(sys.argv[1]))))
    except KeyboardInterrupt:
        sys.exit(130)
