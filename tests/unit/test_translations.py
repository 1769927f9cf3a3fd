"""The translations that are shipped: complete, without guesses, and compiled from what they say.

Django's own ``makemessages`` extracts the strings from a copy of the package, so that none is missed; GNU
gettext does the work and is looked for in PATH.
"""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import ROOT

PACKAGE = ROOT / "django_jobs"
LANGUAGES = ("de", "fr")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")

pytestmark = pytest.mark.skipif(
    shutil.which("xgettext") is None and "CI" not in os.environ,
    reason="GNU gettext is not installed (Debian: apt-get install gettext)",
)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, its catalogues brought up to date with the code and compiled."""
    copy = tmp_path_factory.mktemp("translations") / "django_jobs"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "static"))
    languages = [option for language in LANGUAGES for option in ("-l", language)]
    for command in (["makemessages", *languages, "--no-obsolete", "--no-location"], ["compilemessages"]):
        subprocess.run([sys.executable, "-m", "django", *command], cwd=copy, check=True, capture_output=True)
    return copy


def _entries(catalogue: Path) -> list[str]:
    """Return the catalogue's entries as text, the header left out."""
    return [entry for entry in catalogue.read_text(encoding="utf-8").split("\n\n")[1:] if "msgid" in entry]


@pytest.mark.release
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_is_translated_and_none_is_a_guess(extracted: Path, language: str) -> None:
    entries = _entries(extracted / "locale" / language / "LC_MESSAGES" / "django.po")
    assert len(entries) > 50
    missing = [one for one in entries if re.search(r'^msgstr(\[\d\])? ""$(?!\n")', one, re.MULTILINE)]
    guessed = [one for one in entries if "#, fuzzy" in one or ", fuzzy" in one.partition("msgid")[0]]
    assert (missing, guessed) == ([], [])


@pytest.mark.release
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_shipped_is_compiled_from_what_the_catalogue_says(extracted: Path, language: str) -> None:
    path = Path("locale") / language / "LC_MESSAGES" / "django.mo"
    shipped, compiled = (_messages(folder / path) for folder in (PACKAGE, extracted))
    assert shipped == compiled


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_those_of_the_string(language: str) -> None:
    path = PACKAGE / "locale" / language / "LC_MESSAGES" / "django.mo"
    for message, translation in _messages(path).items():
        text = message[0] if isinstance(message, tuple) else message
        if text:
            known = {*PLACEHOLDER.findall(text), *(["%(number)s"] if isinstance(message, tuple) else [])}
            assert set(PLACEHOLDER.findall(translation)) <= known, text


def _messages(compiled: Path) -> dict[str | tuple[str, int], str]:
    with compiled.open("rb") as file:
        messages: dict[str | tuple[str, int], str] = dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
    messages.pop("", None)
    return messages
