"""Contributing names files and tests that exist; its examples invent a vendor and a page."""

from __future__ import annotations

import re

from tests.databases import ROOT

PAGE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
FOLDERS = (ROOT, ROOT / "django_jobs", ROOT / "django_jobs" / "templates", ROOT / "tests")
INVENTED = re.compile(r"\boracle\b|\b(test_)?hosts\b|<vendor>|\*")
IGNORED_BY_GIT = ("test-output/", ".venv/")


def _paths() -> set[str]:
    """Return the words in code that have a slash or end as a file does."""
    code = " ".join(re.findall(r"```.+?```|`[^`]+`", PAGE, re.DOTALL))
    words = re.findall(r"(?<![\w./<>*-])[\w.<>*-]*/[\w./<>*-]*|(?<![\w./<>*-])\w+\.(?:py|md|toml|html|pml)\b", code)
    return {word for word in words if not INVENTED.search(word) and not word.startswith(IGNORED_BY_GIT)}


def test_every_path_named_exists() -> None:
    names = {path.name for folder in ("django_jobs", "tests") for path in (ROOT / folder).rglob("*.*")}
    missing = [
        path
        for path in sorted(_paths())
        if not any((folder / path).exists() for folder in FOLDERS) and ("/" in path or path not in names)
    ]
    assert missing == []


def test_every_test_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    defined = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named - defined == set()


def test_every_path_is_looked_for() -> None:
    assert {
        "django_jobs/options.py",
        "tests/unit/test_definition.py",
        ".ci/run",
        "policy/",
        "docs/changelog.md",
    } <= _paths()
