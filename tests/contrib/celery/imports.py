"""The change of imports that moves a project from Celery: nothing else of its text is touched."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ORIGINAL = Path(__file__).parent / "original"
_IMPORT = re.compile(r"^(\s*)(from|import) celery\b", re.MULTILINE)


def changed(text: str) -> str:
    """Return the text of a module that imports from django_jobs what it imported from Celery."""
    return _IMPORT.sub(r"\1\2 django_jobs.contrib.celery", text)


def write_changed(folder: Path) -> Path:
    """Write the sample project into ``folder`` with its imports changed, and return the package's folder."""
    package = folder / "bakery"
    shutil.copytree(ORIGINAL / "bakery", package, ignore=shutil.ignore_patterns("__pycache__"))
    for module in package.glob("*.py"):
        module.write_text(changed(module.read_text()))
    return package
