"""``manage.py jobs brokers``: what waits to be sent, how far sources are read; pause and resume a source."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from .. import operations
from ..brokers.status import BrokerOverview, BrokerState, read_overview
from ..models import MessageSource
from ..policy.hints import find_near
from ..policy.printable import printable, printable_lines
from ..store.messages.status import SourceState
from .rows import as_json, as_table
from .verbs import actor

BROKER_COLUMNS = ("name", "url", "waiting", "oldest_at", "per_minute", "paused_at", "down_since", "last_error")
SOURCE_COLUMNS = ("source", "job", "consumers", "lag", "received", "duplicates", "poison", "status")


def add_broker_arguments(parser: ArgumentParser) -> None:
    """Add the options."""
    changing = parser.add_mutually_exclusive_group()
    changing.add_argument("--pause", metavar="SOURCE", help="Have consumers stop reading this source.")
    changing.add_argument("--resume", metavar="SOURCE", help="Have them read it again, also if poison has stopped it.")


def print_brokers(command: BaseCommand, options: dict[str, Any]) -> None:
    """Print the state of all brokers, or pause or resume a source."""
    if options["pause"] is not None:
        _print_change(command, options, "pause")
        return
    if options["resume"] is not None:
        _print_change(command, options, "resume")
        return
    overview = read_overview()
    brokers, sources = [_broker_row(one) for one in overview.brokers], [_source_row(one) for one in overview.sources]
    if options["json"]:
        unread = [one.label for one in overview.unread]
        command.stdout.write(as_json({"brokers": brokers, "sources": sources, "unread": unread}))
        return
    command.stdout.write(printable_lines(_as_text(overview, brokers, sources)))


def _as_text(overview: BrokerOverview, brokers: list[dict[str, Any]], sources: list[dict[str, Any]]) -> str:
    parts = [as_table(brokers, BROKER_COLUMNS) if brokers else "the setting BROKERS names no server"]
    parts.append(as_table(sources, SOURCE_COLUMNS) if sources else "no source has been read")
    if held := [f"{row['name']}, {_behind(*turn)}" for row in brokers for turn in row["held_by_dead"].items()]:
        parts.append("held back by dead messages; redrive them, or resolve their dead letters:\n" + "\n".join(held))
    stopped = [f"{row['source']}, partition {name}: {why}" for row in sources for name, why in row["stopped"].items()]
    if stopped:
        parts.append("stopped by poison:\n" + "\n".join(stopped))
    if overview.unread:
        parts.append(f"never read: {', '.join(one.label for one in overview.unread)}; start 'manage.py jobs consume'")
    return "\n\n".join(parts)


def _behind(job_id: int, number: int) -> str:
    return f"job {job_id}: {number} {'message' if number == 1 else 'messages'} of its key"


def _print_change(command: BaseCommand, options: dict[str, Any], verb: str) -> None:
    source = _find(options[verb])
    is_pause = verb == "pause"
    changed = operations.pause_source(source.pk, by=actor()) if is_pause else operations.resume_source(source.pk)
    past = f"{verb}d"
    if options["json"]:
        command.stdout.write(as_json({past: str(source) if changed else None}))
    else:
        command.stdout.write(printable(f"source {source} {'is' if changed else 'was already'} {past}"))


def _find(label: str) -> MessageSource:
    by_label = {str(source): source for source in MessageSource.objects.all()}
    if label in by_label:
        return by_label[label]
    near = find_near(label, by_label)
    hint = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(by_label)) or 'none'}"
    raise CommandError(f"no source {label!r} has been read; {hint}")


def _broker_row(state: BrokerState) -> dict[str, Any]:
    failure, outage = state.last_failure, state.outage
    return {
        "name": state.name,
        "url": state.url,
        "queue": state.queue_name,
        "waiting": state.waiting.number,
        "waiting_is_more": state.waiting.is_more,
        "oldest_at": _iso(state.waiting.oldest_at),
        "per_minute": round(state.per_minute, 1),
        "paused_at": _iso(state.paused_at),
        "down_since": None if outage is None else _iso(outage.since),
        "last_error": outage.error if outage is not None else failure.error if failure is not None else None,
        "destinations": state.destinations,
        "held_by_dead": state.held_by_dead,
    }


def _source_row(state: SourceState) -> dict[str, Any]:
    source = state.source
    return {
        "source": str(source),
        "job": source.job_name,
        "consumers": state.consumers,
        "lag": state.lag,
        "received": source.received,
        "duplicates": source.duplicates,
        "poison": source.poison,
        "last_received_at": _iso(source.last_received_at),
        "status": _status(state),
        "error": source.error or None,
        "stopped": state.stopped,
        "partitions": {
            one.partition: {"position": one.next_position, "lag": one.lag, "moved_at": _iso(one.moved_at)}
            for one in state.partitions
        },
    }


def _status(state: SourceState) -> str:
    if state.source.paused_at is not None:
        return "paused"
    if state.stopped:
        return "stopped"
    if state.source.error:
        return "broker down"
    return "active" if state.consumers else "no consumer"


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="milliseconds")
