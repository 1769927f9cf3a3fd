"""The docs are held to the code: names, settings, options, transitions, links and examples."""

from __future__ import annotations

import importlib
import re
import sys
import types
from pathlib import Path

import pytest
from django.core.management import load_command_class

import django_jobs
from django_jobs.policy.states import TRANSITIONS, State
from django_jobs.testing import drain
from tests.databases import ROOT

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def _rows(page: Path, columns: int) -> list[list[str]]:
    """Return the cells of the page's tables of so many columns, headings and rules left out."""
    found = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if line.startswith("| ") and len(cells) == columns and not set(line) <= set("|- "):
            found.append(cells)
    return found[1:] if found else found


def _spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [one for one in links if "://" not in one and not (page.parent / one).exists()]
    assert missing == []


def _options(command: str) -> set[str]:
    parser = load_command_class("django_jobs", command).create_parser("manage.py", command)
    ours = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    django_own = {
        "--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color",
        "--force-color", "--skip-checks",
    }  # fmt: skip
    return ours - django_own


def test_every_option_of_the_worker_is_described() -> None:
    table = {_spans(option)[0].split()[0] for option, _, _ in _rows(REFERENCE / "commands.md", 3)}
    assert table == _options("runworker")


def test_every_verb_is_described() -> None:
    parser = load_command_class("django_jobs", "jobs").create_parser("manage.py", "jobs")
    verbs = next(action.choices for action in parser._actions if action.dest == "verb")
    described = {_spans(verb)[0].split()[0] for verb, _ in _rows(REFERENCE / "commands.md", 2)}
    assert described == set(verbs)


def test_every_action_of_tokens_is_described() -> None:
    parser = load_command_class("django_jobs.web", "jobs_token").create_parser("manage.py", "jobs_token")
    actions = next(action.choices for action in parser._actions if action.dest == "action")
    described = re.findall(r"^- `jobs_token (\w+)", (REFERENCE / "commands.md").read_text(), re.MULTILINE)
    assert described == list(actions)


def test_the_table_of_transitions_is_the_codes() -> None:
    described: dict[str, set[tuple[str, str]]] = {}
    for verb, before, after, _ in _rows(REFERENCE / "states.md", 4):
        described.setdefault(verb, set()).add((before, after))
    code = {verb: {(str(old), str(new)) for old, new in pairs} for verb, pairs in TRANSITIONS.items()}
    assert described == code


def test_every_state_is_described() -> None:
    described = [_spans(state)[0] for state, _ in _rows(REFERENCE / "states.md", 2)]
    assert described == [state.value for state in State]


PUBLIC_MODULES = [
    "backoff",
    "batches",
    "context",
    "exceptions",
    "limits",
    "once",
    "schedules",
    "uniqueness",
    "workflows",
]


def test_every_public_name_is_described() -> None:
    sections = re.split(r"^## ", (REFERENCE / "api.md").read_text(), flags=re.MULTILINE)
    described = {
        section.split("\n", 1)[0]: {_spans(line)[0] for line in section.splitlines() if line.startswith("| `")}
        for section in sections
    }
    at_the_top = set(django_jobs.__all__)
    assert described["django_jobs"] == at_the_top
    for name in PUBLIC_MODULES:
        module = importlib.import_module(f"django_jobs.{name}")
        assert described[module.__name__] == set(module.__all__) - at_the_top, name


def test_every_check_is_described() -> None:
    code = set(re.findall(r'id="(django_jobs\.\w+)"', (ROOT / "django_jobs" / "checks.py").read_text()))
    assert {_spans(one)[0] for one, _ in _rows(REFERENCE / "checks.md", 2)} == code


def _python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_python(page: Path) -> None:
    for block in _python_blocks(page):
        compile(block, str(page), "exec")


@pytest.mark.django_db
def test_the_tutorials_jobs_do_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs_py, enqueue, test = _python_blocks(DOCS / "tutorial.md")
    module = types.ModuleType("shop.jobs")
    monkeypatch.setitem(sys.modules, "shop", types.ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.jobs", module)
    exec(compile(jobs_py, "shop/jobs.py", "exec"), module.__dict__)
    assert module.greet("Ada") == "Hello Ada"
    names: dict[str, object] = {}
    exec(compile(enqueue, "view", "exec"), names)
    exec(compile(test, "test", "exec"), names)
    job = names["job"]
    assert isinstance(job, django_jobs.models.Job)
    assert job.refresh().result == "Hello Ada"
    with pytest.raises(django_jobs.exceptions.ArgumentsError):
        module.greet.enqueue(nam="Ada")
    charge = module.charge.enqueue("4929 0000")
    drain(run_scheduled=True)
    assert (charge.refresh().state, charge.attempts.count()) == ("dead", 2)
