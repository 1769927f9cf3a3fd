"""A forecast for jobs that run again: what becomes of their queues and how long they will take, as sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils.translation import gettext

from ...conf.database import current_database
from ...policy.forecast import QueueLoad, Trend, forecast_queue, time_for_more
from ...store.clock import database_now
from ...store.stats.queue_loads import read_queue_loads
from ..site.labels import format_duration
from ..site.queue_forecast import forecast_text, number_text

MAX_QUEUES = 5


def forecast(by_queue: Mapping[str, int]) -> list[str]:
    """Return two sentences for each of the queues with most of these jobs. Six statements."""
    first = dict(Counter(by_queue).most_common(MAX_QUEUES))
    now = database_now(using=current_database())
    loads = read_queue_loads(first, now=now)
    texts = [f"{_queue(name, loads[name], now)} {_time(number, loads[name], now)}" for name, number in first.items()]
    if len(by_queue) > MAX_QUEUES:
        texts.append(gettext("%(number)d more queues get jobs.") % {"number": len(by_queue) - MAX_QUEUES})
    return texts


def _queue(name: str, load: QueueLoad, now: datetime) -> str:
    text = forecast_text(forecast_queue(load, now=now), now=now, with_number=True)
    return gettext("Queue %(queue)s: %(forecast)s.") % {"queue": name, "forecast": text}


def _time(number: int, load: QueueLoad, now: datetime) -> str:
    if load.is_stopped:
        return gettext("It is paused: all of them wait until it is resumed.")
    if not load.slots:
        return gettext("No worker serves it: all of them wait until one does.")
    found = forecast_queue(load, now=now)
    needed = time_for_more(number, load, now=now)
    values = {"number": number_text(number), "time": format_duration(needed), "threads": load.slots}
    if needed is not None and found.trend is Trend.EMPTYING:
        text = gettext("These %(number)s take about %(time)s, behind what waits now.")
    elif needed is not None:
        text = gettext(
            "These %(number)s take about %(time)s: a run takes %(run)s on average, and live work %(busy)d %% of"
            " the %(threads)d threads that serve it."
        )
        values["run"] = format_duration(timedelta(seconds=load.run_seconds or 0))
        values["busy"] = round(load.busy_share * 100)
    elif found.trend in {Trend.GROWING, Trend.STEADY, Trend.TOO_MANY}:
        text = gettext("Nobody can tell how long these take: what waits there does not become less.")
    elif load.run_seconds is None:
        text = gettext("None of its jobs has ended in the last hour: nobody can tell how long these take.")
    else:
        text = gettext("Live work keeps its %(threads)d threads busy: these jobs run in the gaps.")
    return text % values
