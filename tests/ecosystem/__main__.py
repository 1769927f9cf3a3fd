"""Run what others wrote for django.tasks on this package's backend: ``python3 tests/ecosystem``.

Django's own tests of tasks, and, on the newest Django, packages that enqueue tasks: their own tests where their source
distributions have them, else a small use. Neither is changed: ``adapters`` gives them another backend when they start.
And themes of the admin, under which every page is opened.
``DJANGO_JOBS_VENV`` names the environment; the group ``ecosystem`` of ``pyproject.toml`` is added to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)

from testproject.bootstrap import CONSTRAINTS, DEVELOPMENT, ensure_environment  # noqa: E402 - as in tests/__main__.py
from tests.ecosystem.sources import BUILD_BACKENDS, DOWNLOADS, SOURCES, Source, folder_of, wanted_sources  # noqa: E402


def main(arguments: list[str]) -> int:
    """Install the packages, fetch the sources, and run pytest with ``arguments``; return its exit code."""
    ensure_environment(DEVELOPMENT)
    import django

    if django.VERSION < (6, 0):
        print(f"Django {django.__version__} has no django.tasks, and so no tests of it")
        return 0
    sources = wanted_sources()
    if len(sources) > 1:
        pip("install", "--group", f"{ROOT / 'pyproject.toml'}:ecosystem")
    else:
        pip("install", *BUILD_BACKENDS)
    for source in sources:
        if not folder_of(source).exists():
            fetch(source)
    command = [sys.executable, "-m", "pytest", "tests/ecosystem", "-p", "no:randomly", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, SOURCES: str(DOWNLOADS)}).returncode


def fetch(source: Source) -> None:
    """Download a source distribution of the version that is installed, and unpack what is needed of it."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    # Without isolation: the build backends are installed, and pip does not install them anew for each.
    pip(
        "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(DOWNLOADS), source.pinned
    )
    with tarfile.open(next(DOWNLOADS.glob(f"{source.file_name}-*.tar.gz"))) as archive:
        root = archive.getnames()[0].split("/")[0]
        members = [
            member for member in archive if member.name.startswith(tuple(f"{root}/{part}" for part in source.parts))
        ]
        archive.extractall(DOWNLOADS / "unpacked", members, filter="data")
    (DOWNLOADS / "unpacked" / root).rename(folder_of(source))


def pip(*arguments: str) -> None:
    """Run pip in this environment, with the versions that CI uses."""
    action, *rest = arguments
    command = [sys.executable, "-m", "pip", action, "--quiet", "--constraint", str(CONSTRAINTS), *rest]
    if subprocess.run(command, check=False, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}).returncode:
        sys.exit(f"pip could not do what is needed (see above): {' '.join(arguments)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
