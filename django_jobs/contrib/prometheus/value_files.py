"""Have the metrics of this process count in files, also those that were made before anybody could know.

prometheus-client chooses between memory and files when it is imported, by an environment variable. Here the project's
modules have imported it by then, and made their metrics: those of the default registry get new values, which keep what
was counted. Metrics that are made later need nothing. A forked process notices by itself that it needs files of its
own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .client import import_client

CLIENT_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
VALUES = ("_value", "_count", "_sum")
"""Attributes of a metric that hold one value each; a histogram has a list of further ones in ``_buckets``."""


def count_in_files(directory: str) -> None:
    """Move all values of this process into files of the directory; those of later processes begin there at zero."""
    client, values = import_client(), import_client("prometheus_client.values")
    os.environ[CLIENT_VARIABLE] = directory
    values.ValueClass = values.MultiProcessValue()  # type: ignore[attr-defined]  # a module
    for metric in _observable_metrics(client):
        _move_values(metric)


def _observable_metrics(client: Any) -> Iterator[Any]:
    """Yield the metrics of the default registry that have values: those without labels, and children of the others."""
    kinds = (client.Counter, client.Gauge, client.Summary, client.Histogram)
    for collector in list(client.REGISTRY._collector_to_names):  # noqa: SLF001 - there is no public way to list them
        if isinstance(collector, kinds):
            children = getattr(collector, "_metrics", None)
            yield from [collector] if children is None else list(children.values())


def _move_values(metric: Any) -> None:
    before = [value.get() for value in _values(metric)]
    metric._metric_init()  # noqa: SLF001 - makes its values anew
    for value, number in zip(_values(metric), before, strict=True):
        if number:
            value.set(number)


def _values(metric: Any) -> list[Any]:
    found = [vars(metric)[name] for name in VALUES if name in vars(metric)]
    return [*found, *vars(metric).get("_buckets", ())]
