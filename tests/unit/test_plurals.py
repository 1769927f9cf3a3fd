"""Counts of one are written as such: "1 job", never "1 jobs"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_jobs.management.rows import sentence_text
from django_jobs.policy.doctor import RowFacts, SchemaFacts, ServerFacts, SilentWorker, UnknownJobs, diagnose
from django_jobs.policy.health import IdleWorker
from django_jobs.policy.plurals import counted
from django_jobs.policy.service_facts import LateSchedule, QueueFacts, ServiceFacts
from django_jobs.policy.service_health import find_problems
from tests.databases import ROOT
from tests.sources import parse

pytestmark = pytest.mark.one_version

NOUNS = (
    "attempts|batches|claims|clients|copies|groups|hints|jobs|letters|limits|lines|permits|problems|queues|results"
    "|schedules|tasks|ticks|tokens|workers"
)
ADJECTIVES = "blocked|claimed|dead|expired|held|idle|open|running|scheduled|unanswered|waiting"
COUNTED = re.compile(rf"(?<!most )(?<!\bof )(?<!than )(?<!up to )(\x00|%(\(\w+\))?[sd]) (({ADJECTIVES}) )?({NOUNS})\b")
"""A placeholder before a plural; a bound (at most, more than, of) is no count."""
ONE = re.compile(rf"\b1 ([a-z]+ )?({NOUNS})\b")
CHOSEN = re.compile(r"\{% blocktrans(?:late)? (?:trimmed )?count\b.*?\{% endblocktrans(?:late)? %\}", re.DOTALL)
TRANSLATE = re.compile(r"""\{% trans(?:late)? (["'])(.*?)\1[^%]*%\}""")
TRANSLATED = {"ngettext", "ngettext_lazy", "npgettext"}


def test_counts_have_their_noun() -> None:
    assert [counted(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert [counted(number, "batch", "batches") for number in (1, 2)] == ["1 batch", "2 batches"]


def test_findings_about_one_say_one() -> None:
    silent = SilentWorker(name="worker 7", heartbeat_age_seconds=1, claims=1)
    rows = RowFacts(silent_workers=[silent], unknown=[UnknownJobs(name="send", number=1, unknown_seconds=1)])
    texts = [finding.what for finding in diagnose(rows=rows, server=ServerFacts(), schema=SchemaFacts())]
    facts = ServiceFacts(
        served=[None],
        queues=[QueueFacts(name="mail", waiting=1, waited_seconds=100.0)],
        idle=[IdleWorker(queues=None, seconds=100)],
        late_schedules=[LateSchedule(schedule_id=1, name="nightly", seconds=2_000)],
    )
    texts += [sentence_text(sentence) for sentence in find_problems(facts, max_wait_seconds=1_000)]
    assert len(texts) == 4
    assert not [text for text in texts if ONE.search(text)]
    assert "1 claimed job," in texts[0]


@pytest.mark.parametrize("path", sorted((ROOT / "django_jobs").rglob("*.py")), ids=lambda path: path.stem)
def test_no_text_has_a_number_before_a_noun_that_is_always_plural(path: Path) -> None:
    assert list(_fixed_plurals(parse(path))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "django_jobs").rglob("*.html")), ids=lambda path: path.stem)
def test_no_template_has_a_number_before_a_noun_that_is_always_plural(path: Path) -> None:
    assert not COUNTED.search(_shown_by(path.read_text()))


@pytest.mark.parametrize(
    ("template", "is_fixed"),
    [
        ("<b>{{ n }}</b> {% translate 'jobs' %}", True),
        ("{% blocktranslate with n=all|length %}{{ n }} dead letters{% endblocktranslate %}", True),
        ("{% blocktranslate count n=n %}{{ n }} job{% plural %}{{ n }} jobs{% endblocktranslate %}", False),
        ("{% blocktranslate trimmed count n=n %}{{ n }} job{% plural %}{{ n }} jobs{% endblocktranslate %}", False),
        ("<th>{{ name }}</th><th>{% translate 'jobs' %}</th>", False),
    ],
)
def test_a_plural_of_a_template_is_found(template: str, is_fixed: bool) -> None:
    assert bool(COUNTED.search(_shown_by(template))) is is_fixed


def _shown_by(template: str) -> str:
    """Return the text of a template as far as gettext does not choose it by a number; NUL for each value."""
    text = CHOSEN.sub("", template)
    text = TRANSLATE.sub(lambda found: found.group(2), text)
    text = re.sub(r"\{\{.*?\}\}", "\0", re.sub(r"\{%.*?%\}", "", text))
    return re.sub(r"</?(?:b|strong|em|span|a|bdi|code)\b[^>]*>", "", text)


def _fixed_plurals(node: ast.AST) -> Iterator[str]:
    """Yield the texts of a tree, except docstrings and what gettext chooses, that have a plural after a number."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in TRANSLATED:
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.JoinedStr):
        text = "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
    else:
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    if COUNTED.search(text):
        yield text
    for child in ast.iter_child_nodes(node):
        yield from _fixed_plurals(child)
