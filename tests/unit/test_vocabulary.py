"""One language: names, texts and commands use the field's terms, and the glossary explains each term.

The words below once had a private meaning in this code. Nobody who comes from Oban, Celery, River or Django would have
looked for them. What replaced each stands beside it; whoever meets a failure here takes that one.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import load_command_class

from tests.databases import ROOT
from tests.sources import parse

pytestmark = pytest.mark.one_version

PACKAGE = ROOT / "django_jobs"

DENIED_NAMES = {
    "again": "retry",
    "beat": "heartbeat",
    "begun": "started",
    "bell": "notifier",
    "bench": "run_context",
    "biggest": "max",
    "bury": "as_unstorable",
    "buried": "as_unstorable",
    "deepest": "max",
    "doorbell": "notifier",
    "doomed": "dependents_to_cancel",
    "fold": "roll_up",
    "folded": "rolled_up",
    "follow": "after_finish",
    "gathering": "batch_context",
    "give_back": "release",
    "heed": "on_finished",
    "hold_back": "revoke",
    "lease": "heartbeat",
    "let_go": "release, or delete",
    "letter": "dead_letter",
    "letters": "dead_letters",
    "longest": "max",
    "look": "check, poll, read or snapshot",
    "looks": "checks, or polls",
    "most": "max, or limit",
    "notice": "signal",
    "notices": "signals",
    "overlooked": "missed",
    "placing": "enqueueing",
    "pulse": "liveness",
    "put_away": "offload",
    "ring": "notify",
    "rings": "notifies",
    "rung": "notified",
    "settle": "release",
    "settled": "committed, or released",
    "shortest": "min",
    "sight": "visible_job",
    "slot": "job_process",
    "smallest": "min",
    "stranded": "orphaned",
    "sweep": "repair",
    "swept": "repaired",
    "take_back": "take_unstarted",
    "tallies": "count_deltas",
    "tally": "count_delta",
    "tries": "attempts",
    "try": "attempt",
    "undoable": "savepoint",
    "unheard": "unanswered",
}
"""Word, or words in a row, of an identifier -> what to say instead."""

ALLOWED_NAMES = {
    "celery_beat",
    "dead_letter",
    "dead_letters",
    "look_up",
    "try_lock",
}
"""Taken out of an identifier before it is looked at."""

DENIED_TEXTS = {
    r"asked to end": "cancellation requested",
    r"\bask(s|ed)? (it )?to end\b": "request cancellation",
    r"\blet(s)? in\b": "admit",
    r"\blet(s)? go\b": "release, or delete",
    r"\bgive(s|n)? back\b": "release",
    r"\bdoorbell\b": "notifier",
    r"(?<![Dd]ead[ -])\bletters?\b(?![.])": "dead letter",
    r"\btries\b": "attempts",
    r"\b(first|last|next|each|every|this|a|the) try\b": "attempt",
    r"\bslots? process\b": "job process",
}
"""Regular expression over a text that users read -> what to say instead."""

OPENINGS = re.compile(r"(What|Which|Who|Whose|Whether|Where|That)\b")
"""Of a docstring's first line: a clause about something that is not named."""


def _words(name: str) -> str:
    """Return an identifier of any style as lower-case words with underscores."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")


def _denied(name: str) -> list[str]:
    words = _words(name)
    for allowed in ALLOWED_NAMES:
        words = re.sub(rf"(?<![a-z]){allowed}(?![a-z])", "", words)
    return [denied for denied in DENIED_NAMES if re.search(rf"(?<![a-z]){denied}(?![a-z])", words)]


@lru_cache(maxsize=1)
def _trees() -> dict[Path, ast.Module]:
    return {path: parse(path) for path in sorted(PACKAGE.rglob("*.py"))}


def _names() -> Iterator[tuple[str, str]]:
    """Yield where a name is defined and the name: files, functions, classes, constants, fields and parameters."""
    for path, tree in _trees().items():
        where = str(path.relative_to(ROOT))
        yield where, path.stem
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    yield where, name
                case ast.arg(arg=name):
                    yield where, name
                case ast.AnnAssign(target=ast.Name(id=name)):
                    yield where, name
                case ast.Assign(targets=[ast.Name(id=name)]) if name.isupper():
                    yield where, name
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    yield where, name


def _texts() -> Iterator[tuple[str, str]]:
    """Yield where a text stands that users read: admin, commands, logs, errors, templates."""
    for path, tree in _trees().items():
        where = str(path.relative_to(ROOT))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and " " in node.value
                and id(node) not in docstrings
            ):
                yield where, node.value
    for path in sorted(PACKAGE.rglob("templates/**/*.html")):
        text = re.sub(r"{#.*?#}|{% comment %}.*?{% endcomment %}", "", path.read_text(), flags=re.DOTALL)
        for quoted in re.findall(r"{%\s*translate\s+[\"'](.+?)[\"']", text):
            yield str(path.relative_to(ROOT)), quoted
        for block in re.findall(r"{%\s*blocktranslate.*?%}(.+?){%\s*endblocktranslate", text, re.DOTALL):
            yield str(path.relative_to(ROOT)), block


def test_no_name_is_a_private_word():
    found = sorted(
        f"{where}: {name}: instead of {denied!r} say {DENIED_NAMES[denied]}"
        for where, name in set(_names())
        for denied in _denied(name)
    )
    assert not found, "\n".join(found)


def test_no_text_that_users_read_has_a_private_word():
    found = sorted(
        f"{where}: {text.strip()!r}: instead of {re.search(pattern, text)[0]!r} say {instead}"
        for where, text in set(_texts())
        for pattern, instead in DENIED_TEXTS.items()
        if re.search(pattern, text)
    )
    assert not found, "\n".join(found)


def test_a_docstring_begins_with_what_it_is_about():
    found = []
    for path, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                said = (ast.get_docstring(node) or "").split("\n")[0]
                if OPENINGS.match(said):
                    found.append(f"{path.relative_to(ROOT)}: {said}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("app", ["django_jobs"])
def test_the_glossary_explains_every_model(app):
    explained = _glossary()
    missing = [
        model.__name__
        for model in apps.get_app_config(app).get_models()
        if not model._meta.auto_created and model.__name__ not in explained
    ]
    assert missing == []


def _glossary() -> set[str]:
    """Return the terms and verbs that the glossary explains."""
    text = (ROOT / "docs/glossary.md").read_text()
    terms = {term.strip("` ") for row in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for term in row.split(",")}
    return terms | set(re.findall(r"\(`(\w+)`\)", text))


def test_no_verb_of_the_commands_is_a_private_word():
    for app, command in (("django_jobs", "jobs"), ("django_jobs.web", "jobs_token"), ("django_jobs", "runworker")):
        parser = load_command_class(app, command).create_parser("manage.py", command)
        options = {option.removeprefix("--") for action in parser._actions for option in action.option_strings}
        verbs = {
            verb
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
            for verb in action.choices
        }
        assert verbs or command == "runworker"
        for name in options | verbs:
            assert _denied(name.replace("-", "_")) == [], f"{command}: {name}"
