"""The sums of each database on the dashboard, where jobs are in several; one that does not answer is named."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.admin import AdminSite
from django.utils.formats import number_format

from ..conf import get_settings
from ..conf.database import current_database
from ..store.each_database import read_each
from ..store.stats.gauges import MAX_COUNTED, read_gauges
from .site.app_index import dashboard_url
from .site.named_addresses import name_database

MAX_QUEUES = 100


class _Sums(NamedTuple):
    """``is_more``: the counts of waiting jobs and of dead letters may stop before the end."""

    waiting: int = 0
    running: int = 0
    dead_letters: int = 0
    is_more: bool = False


def database_sums(site: AdminSite) -> dict[str, Any]:
    """Return the rows of the table and those of all together, for the template; nothing with one database."""
    settings = get_settings()
    if not settings.has_many_databases:
        return {}
    found = read_each(_read_sums, settings.aliases)
    address = dashboard_url(site)
    rows = [
        {
            "alias": alias,
            "url": name_database(address, alias),
            "is_current": alias == current_database(),
            "counts": _texts(found[alias]) if alias in found else None,
        }
        for alias in settings.aliases
    ]
    return {"database_sums": rows, "all_databases": _texts(_added(list(found.values())))}


def _read_sums() -> _Sums:
    gauges = read_gauges(max_queues=MAX_QUEUES)
    return _Sums(
        waiting=sum(queue.ready for queue in gauges.queues),
        running=sum(queue.running for queue in gauges.queues),
        dead_letters=sum(queue.dead_letters for queue in gauges.queues),
        is_more=bool(gauges.queues_left_out) or any(queue.ready >= MAX_COUNTED for queue in gauges.queues),
    )


def _added(sums: list[_Sums]) -> _Sums:
    return _Sums(
        waiting=sum(one.waiting for one in sums),
        running=sum(one.running for one in sums),
        dead_letters=sum(one.dead_letters for one in sums),
        is_more=any(one.is_more for one in sums),
    )


def _texts(sums: _Sums) -> list[str]:
    more = "+" if sums.is_more else ""
    return [
        number_format(sums.waiting, force_grouping=True) + more,
        number_format(sums.running, force_grouping=True),
        number_format(sums.dead_letters, force_grouping=True) + more,
    ]
