"""Prometheus metrics: the page ``/metrics`` of ``runworker --health-port``, and the numbers of the view in ``web``.

``DJANGO_JOBS = {"METRICS": {"PROMETHEUS": True}}`` and the extra ``prometheus`` switch it on. Each worker process
counts in files of a directory that its supervisor owns, as prometheus-client's multiprocess mode does, so a killed
process loses nothing; the page sums the files. Gauges of the database are read by whoever is asked::

    worker processes   counters.py   count runs and ticks      -> files, by value_files.py
    supervisor         dead_files.py adds up those of processes that have ended
                       page.py       files + gauges.py         -> /metrics
    web process        gauges.py                               -> the view metrics/

docs/how-to/monitoring.md shows the setup. ``grafana.json`` and ``alerts.yaml`` are a dashboard and rules.
"""

from __future__ import annotations

import multiprocessing
import os

from .client import DIRECTORY_VARIABLE


def enable() -> None:
    """Add the page to the health port, and count in a process that such a ``runworker`` has spawned."""
    from ...worker.process.health_pages import health_pages
    from . import checks  # noqa: F401 - registers the check
    from .page import MetricsPage

    if not any(isinstance(page, MetricsPage) for page in health_pages):
        health_pages.append(MetricsPage())
    directory = os.environ.get(DIRECTORY_VARIABLE)
    if directory and multiprocessing.parent_process() is not None and os.path.isdir(directory):  # noqa: PTH112
        from .counters import count_in

        count_in(directory)
