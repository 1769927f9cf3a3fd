"""The source distributions whose tests are run, and where they are unpacked."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.databases import OUTPUT

DOWNLOADS = OUTPUT / f"sources-{sys.version_info.major}.{sys.version_info.minor}"
SOURCES = "DJANGO_JOBS_TEST_SOURCES"
"""Names that folder; set by ``python3 tests/ecosystem`` once it is filled."""

BUILD_BACKENDS = ("setuptools",)
"""What builds Django; pip asks it for the metadata of a download."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source distribution: its name on the index, and the folders of it that are needed."""

    name: str
    parts: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The beginning of the archive's name."""
        return self.name.replace("-", "_")

    @property
    def pinned(self) -> str:
        """The requirement: the version that is installed."""
        return f"{self.name}=={version(self.name)}"


DJANGO = Source(name="django", parts=("tests/tasks/",))
TOOLBAR = Source(name="django-debug-toolbar", parts=("tests/", "pyproject.toml"))
MAINTENANCE = Source(name="django-maintenance-tasks", parts=("tests/", "pyproject.toml"))
MONITOR = Source(name="django-tasks-monitor", parts=("tests/", "pyproject.toml"))


def wanted_sources() -> tuple[Source, ...]:
    """Return what this version of Django is to run: packages are tried on one version only."""
    import django

    return (DJANGO,) if django.VERSION < (6, 1) else (DJANGO, TOOLBAR, MAINTENANCE, MONITOR)


def folder_of(source: Source) -> Path:
    """Return the folder with the unpacked parts of a source."""
    return Path(os.environ.get(SOURCES, DOWNLOADS)) / source.name
