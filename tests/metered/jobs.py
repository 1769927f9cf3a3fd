from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from django_jobs import job

if os.environ.get("DJANGO_JOBS_TEST_METERED"):
    from prometheus_client import Counter, Gauge, Histogram, Summary

    SALES = Counter("shop_sales_total", "Sales", ["country"])
    BASKETS = Counter("shop_baskets_total", "Baskets, without labels")
    PRICES = Histogram("shop_price", "Prices", buckets=(10, 100))
    WEIGHTS = Summary("shop_weight", "Weights")
    BUSY = Gauge("shop_busy", "Sales at this moment", multiprocess_mode="livesum")
    DEAREST = Gauge("shop_dearest", "The highest price ever", multiprocess_mode="max")
    BASKETS.inc(5)  # before any worker process exists


@job
def sell(country: str, price: float) -> int:
    SALES.labels(country).inc()
    BASKETS.inc()
    PRICES.observe(price)
    WEIGHTS.observe(2)
    DEAREST.set(price)
    return os.getpid()


@job(max_attempts=1)
def sell_and_wait(folder: str, name: str) -> None:
    """Count a sale, say which process did so, and go on until the file ``go`` is there."""
    SALES.labels("LI").inc()
    BUSY.inc()
    Path(folder, f"{name}.started").write_text(str(os.getpid()))
    while not Path(folder, "go").exists():
        time.sleep(0.005)
    BUSY.dec()


@job(max_attempts=1)
def refuse() -> None:
    raise ValueError("no")


@job(schedulable=True)
def imported(prefix: str) -> list[str]:
    """Return the modules of this process whose names begin so."""
    return sorted(name for name in sys.modules if name.startswith(prefix))
