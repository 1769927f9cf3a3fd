"""Make the reference of options, signals, checks, commands and metrics from the code that declares them."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import timedelta
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from django.core.management import load_command_class

from django_jobs import options
from django_jobs.conf.job_defaults import JobDefaults
from django_jobs.contrib.prometheus import names
from tests.databases import ROOT
from tests.sources import parse

PACKAGE = ROOT / "django_jobs"
NOT_OURS = {
    "help",
    "version",
    "verbosity",
    "settings",
    "pythonpath",
    "traceback",
    "no_color",
    "force_color",
    "skip_checks",
}
"""Options of every command of Django's."""


def _code(text: str) -> str:
    """Return a text of the code as Markdown: one back quote instead of two, no cell's end."""
    return text.replace("``", "`").replace("|", "\\|")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in [list(head), *map(list, rows)]]
    return "\n".join([lines[0], "|" + "---|" * lines[0].count(" | ") + "---|", *lines[1:]]) + "\n"


def _type(hint: Any) -> Iterator[str]:
    """Yield the names of what a hint allows, without None."""
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _type(part)
    elif hint is not NoneType:
        name = getattr(hint, "__name__", str(hint)).split(".")[-1]
        yield {"Mapping": "dict", "Collection": "tuple", "Callable": "function", "type": "exception"}.get(name, name)


def _types(hint: Any) -> str:
    names = list(dict.fromkeys(_type(hint)))
    return ", ".join("exceptions" if name == "exception" else f"`{name}`" for name in names)


def _default(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if value in (None, ()) or value is False:
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{kind.__name__}`" for kind in value)
    return f"`{value}`" if str(value).endswith("()") else f"`{value!r}`".replace("'", '"')


def _options(known: type, defaults: dict[str, object], *, without: Iterable[str] = ()) -> str:
    hints = get_type_hints(known, include_extras=True)
    rows = (
        [f"`{name}`", _types(hint.__origin__), _default(defaults.get(name)), _code(hint.__metadata__[-1])]
        for name, hint in hints.items()
        if name not in without
    )
    return _table(["option", "takes", "default", "meaning"], rows)


def job_options() -> str:
    """Return the table of what ``@job`` takes, besides the options of a schedule."""
    own = {one.name: one.default for one in fields(options.JobOptions)}
    common: dict[str, object] = {one.name: getattr(JobDefaults(), one.name) for one in fields(JobDefaults)}
    common["backoff"] = "Exponential()"
    return _options(options.JobKeywords, {**own, **common}, without=options.ScheduleOptions.__annotations__)


def using_options() -> str:
    """Return the table of what ``using`` takes."""
    return _options(options.UsingOptions, {})


def schedule_options() -> str:
    """Return the table of what ``schedule`` and ``@job`` take."""
    return _options(
        options.ScheduleOptions, {"timezone": "UTC", "overlap": "skip", "catch_up": "latest", "catch_up_limit": 10}
    )


def signals() -> str:
    """Return the table of signals, from the texts below them."""
    body = parse(PACKAGE / "signals.py").body
    rows = []
    for signal, text in pairwise(body):
        match signal, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(doc))):
                rows.append([f"`{name}`", _code(doc)])
    return _table(["signal", "sent when"], rows)


def _literal(node: ast.expr) -> str:
    """Return a text of the code, three dots for what is known at run time; nothing if all of it is."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_literal(part) if isinstance(part, ast.Constant) else "..." for part in parts)
    return ""


def check_messages() -> str:
    """Return the table of the checks' messages, as far as they are the same in each project."""
    rows = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Error", "Warning"} and node.args:
                keywords = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
                if keywords.get("id", "").startswith("django_jobs."):
                    rows.append([f"`{keywords['id']}`", _literal(node.args[0]), keywords.get("hint", "")])
    told = [row for row in rows if row[1].strip(". ")]
    return _table(["id", "message", "hint"], sorted(told))


def _is_ours(action: argparse.Action) -> bool:
    return (
        action.dest not in NOT_OURS
        and action.help is not argparse.SUPPRESS
        and not isinstance(action, argparse._SubParsersAction)
    )


def _spelt(action: argparse.Action) -> str:
    """Return an argument as the usage line spells it."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    value = action.metavar if isinstance(action.metavar, str) else choices
    if not action.option_strings:
        name = value or action.dest.upper()
        return f"[{name} ...]" if action.nargs == "*" else f"[{name}]" if action.nargs == "?" else name
    takes = "" if action.nargs == 0 else f" {value or action.dest.upper()}"
    return action.option_strings[-1] + takes


def worker_options() -> str:
    """Return the table of the options of ``runworker``."""
    parser = load_command_class("django_jobs", "runworker").create_parser("manage.py", "runworker")
    rows = ([f"`{_spelt(action)}`", _code(action.help or "")] for action in parser._actions if _is_ours(action))
    return _table(["option", "meaning"], rows)


def _verbs(app: str, command: str) -> str:
    parser = load_command_class(app, command).create_parser("manage.py", command)
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in verbs._choices_actions}
    runworker = load_command_class("django_jobs", "runworker").create_parser("manage.py", "runworker")
    worker = {action.dest for action in runworker._actions}
    lines = []
    for name, verb in verbs.choices.items():
        actions = [one for one in verb._actions if _is_ours(one) and one.dest != "json"]
        if name == "work":
            actions = [one for one in actions if one.dest not in worker]
        places = [_spelt(one) for one in actions if not one.option_strings]
        lines.append(f"- `{' '.join([command, name, *places])}`: {_code(helps[name])}")
        for action in actions:
            if action.option_strings:
                text = re.sub(r"\s+", " ", action.help or "").rstrip(".")
                lines.append(f"    - `{_spelt(action)}`" + (f": {_code(text[0].lower() + text[1:])}" if text else ""))
    return "\n".join(lines) + "\n"


def jobs_verbs() -> str:
    """Return the list of the verbs of ``manage.py jobs``, each with its options."""
    return _verbs("django_jobs", "jobs")


def token_verbs() -> str:
    """Return the list of the verbs of ``manage.py jobs_token``."""
    return _verbs("django_jobs.web", "jobs_token")


def metrics() -> str:
    """Return the table of the metrics for Prometheus."""
    rows = (
        [f"`{metric.name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help]
        for metric in (*names.GAUGES, *names.COUNTERS)
    )
    return _table(["metric", "type", "labels", "meaning"], rows)


def buckets() -> str:
    """Return the bounds of the histograms."""
    return ", ".join(f"{bound:g}" for bound in names.BUCKETS) + "\n"
