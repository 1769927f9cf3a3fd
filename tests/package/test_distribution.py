"""What is uploaded: files, metadata, and a page for PyPI on which every link and picture leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.databases import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.one_version]
REPOSITORY = "https://github.com/django-jobs-engine/django-jobs-engine"
RAW = "https://raw.githubusercontent.com/django-jobs-engine/django-jobs-engine"


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith("/METADATA"))
        return message_from_bytes(files.read(name))


def test_twine_has_nothing_to_say(built: Path) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_source_has_the_tests_and_what_they_read(sdist: Path) -> None:
    with tarfile.open(sdist) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    wanted = {
        "tests/__main__.py",
        "tests/docs/test_docs.py",
        "testproject/bootstrap.py",
        "docs/tutorial.md",
        ".ci/constraints.txt",
        ".github/CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "pyproject.toml",
    }
    assert wanted - names == set()
    assert {name for name in names if name.endswith((".pyc", ".sqlite3"))} == set()


def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        names = {name for name in files.namelist() if ".dist-info/" not in name}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "django_jobs").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == package | {"pytest_django_jobs.py"}
    assert {"django_jobs/py.typed", "django_jobs/locale/de/LC_MESSAGES/django.mo"} <= names


def test_links_of_the_readme_are_addresses_of_files_of_this_version(metadata: Message) -> None:
    page, version = metadata.get_payload(), metadata["Version"]
    assert isinstance(page, str)
    files = {REPOSITORY: f"/blob/v{version}/", RAW: f"/v{version}/"}
    found = re.findall(r"\]\(([^)]+)\)", page)
    assert len(found) > 20
    for link in found:
        assert link.startswith("https://"), link
        for start, between in files.items():
            if link.startswith(start):
                path = link.removeprefix(start + between).partition("#")[0]
                assert (ROOT / path).is_file(), link


def test_pictures_of_the_readme_are_raw_files(metadata: Message) -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", str(metadata.get_payload()))
    assert pictures
    assert [one for one in pictures if not one.startswith(RAW)] == []


def test_metadata_tells_people_where_to_go(metadata: Message) -> None:
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Documentation", "Source", "Issues", "Changelog"}
    assert urls["Source"] == REPOSITORY
    assert metadata["Author"]
    assert metadata["Keywords"]
