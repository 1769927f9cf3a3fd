"""Counting in files: values are moved into them, and those of ended processes are added up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from django_jobs.contrib.prometheus.bounded_names import BoundedNames
from django_jobs.contrib.prometheus.dead_files import DeadFiles
from django_jobs.contrib.prometheus.names import OTHER_QUEUE
from django_jobs.contrib.prometheus.value_files import count_in_files


def _sample(directory: Path, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))
    return registry.get_sample_value(name, labels)


@pytest.fixture
def dead_pid() -> int:
    """The id of a process that has ended, and that no other has got yet."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def registered() -> Iterator[Callable[..., None]]:
    made: list[object] = []
    yield lambda *metrics: made.extend(metrics)
    for metric in made:
        REGISTRY.unregister(metric)


def test_metrics_that_exist_already_go_on_in_files_with_what_they_have_counted(
    files: Path, registered: Callable[..., None]
) -> None:
    plain, by_kind = Counter("early_total", "Early"), Counter("early_by_kind_total", "Early", ["kind"])
    prices, sizes = Histogram("early_price", "Early", buckets=(1, 10)), Summary("early_size", "Early", ["unit"])
    level, version = Gauge("early_level", "Early", multiprocess_mode="max"), Info("early_version", "Early")
    registered(plain, by_kind, prices, sizes, level, version)
    plain.inc(2)
    by_kind.labels("a").inc(3)
    prices.observe(5)
    sizes.labels("m").observe(7)
    level.set(4)
    version.info({"release": "1"})

    count_in_files(str(files))
    plain.inc()
    by_kind.labels("a").inc()
    by_kind.labels("b").inc()
    prices.observe(50)
    sizes.labels("m").observe(1)
    late = Counter("late_total", "Late", registry=None)
    late.inc(9)

    assert _sample(files, "early_total") == 3
    assert (_sample(files, "early_by_kind_total", kind="a"), _sample(files, "early_by_kind_total", kind="b")) == (4, 1)
    buckets = [_sample(files, "early_price_bucket", le=bound) for bound in ("1.0", "10.0", "+Inf")]
    assert (buckets, _sample(files, "early_price_sum")) == ([0, 1, 2], 55)
    assert (_sample(files, "early_size_count", unit="m"), _sample(files, "early_size_sum", unit="m")) == (2, 8)
    assert (_sample(files, "early_level"), _sample(files, "late_total")) == (4, 9)
    values.close_all_multiprocess_files()


def _write(directory: Path, kind: str, pid: int, **numbers: float) -> Path:
    path = directory / f"{kind}_{pid}.db"
    file = MmapedDict(str(path))
    for name, number in numbers.items():
        file.write_value(mmap_key(name, name, [], [], "Help"), number, number)
    file.close()
    return path


def test_what_ended_processes_have_counted_stays_and_their_files_go(tmp_path: Path, dead_pid: int) -> None:
    dead_files = DeadFiles(tmp_path)
    for _ in range(2):  # another process may get the same id later
        _write(tmp_path, "counter", dead_pid, sales_total=2, visits_total=1)
        _write(tmp_path, "gauge_sum", dead_pid, queued=3)
        dead_files.add_up()
    for highest in (7, 5):
        _write(tmp_path, "gauge_max", dead_pid, highest=highest)
        _write(tmp_path, "gauge_min", dead_pid, lowest=highest)
        _write(tmp_path, "gauge_mostrecent", dead_pid, newest=highest)
        dead_files.add_up()
    for kind in ("gauge_all", "gauge_liveall", "gauge_livesum"):
        _write(tmp_path, kind, dead_pid, gone=1)
    own = _write(tmp_path, "counter", os.getpid(), sales_total=10)
    dead_files.add_up()

    assert [_sample(tmp_path, name) for name in ("sales_total", "visits_total", "queued")] == [14, 2, 6]
    assert [_sample(tmp_path, name) for name in ("highest", "lowest", "newest")] == [7, 5, 7]
    kinds = ("counter", "gauge_sum", "gauge_max", "gauge_min", "gauge_mostrecent")
    assert {path.name for path in tmp_path.glob("*.db")} == {own.name, *(f"{kind}_0.db" for kind in kinds)}
    dead_files.close()


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff\x7f" + bytes(40), b"\x20\0\0\0\0\0\0\0\xff\0\0\0" + bytes(30)])
def test_a_file_that_a_dying_process_left_unfinished_spoils_nothing(
    tmp_path: Path, dead_pid: int, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / f"histogram_{dead_pid}.db"
    broken.write_bytes(content)
    _write(tmp_path, "counter", dead_pid, sales_total=2)
    dead_files = DeadFiles(tmp_path)
    dead_files.add_up()
    assert _sample(tmp_path, "sales_total") == 2
    assert not broken.exists()
    assert f"the metrics in {broken.name}" in caplog.text
    dead_files.close()


def test_a_label_has_no_more_values_than_its_limit_over_all_processes(tmp_path: Path) -> None:
    one, other = BoundedNames(tmp_path / "names", limit=3), BoundedNames(tmp_path / "names", limit=3)
    assert [one.label("a"), other.label("b\nc"), one.label("é")] == ["a", "b\nc", "é"]
    assert [one.label("d"), other.label("d")] == [OTHER_QUEUE, OTHER_QUEUE]
    assert [one.label("b\nc"), other.label("a"), other.label("é")] == ["b\nc", "a", "é"]
