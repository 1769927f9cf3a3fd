"""Make the virtual environment that a command of this repository needs, and continue in it.

Standard library only: this runs with whatever ``python3`` a fresh machine has. There are two recipes: ``DEMO`` for
the shop and ``DEVELOPMENT`` for all else. What is installed is what ``pyproject.toml`` lists, in the versions that
``.ci/constraints.txt`` pins. ``python3 testproject/bootstrap.py`` makes the environment of ``DEVELOPMENT`` and
prints its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
OLDEST_PYTHON = (3, 11)
STAMP = "installed.json"
BUILD_TOOLS = ("gcc", "pkg-config", "mariadb_config", "mysql_config")
HINTS = {
    "mysql": "mysqlclient needs MariaDB's or MySQL's headers to be built;"
    " on Debian: apt-get install gcc pkg-config libmariadb-dev python3-dev",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make one virtual environment: its folder, and what ``pyproject.toml`` lists for it.

    An extra in ``optional_extras`` that cannot be installed is reported and left out.
    """

    folder: str
    group: str
    optional_extras: tuple[str, ...] = ()


DEMO = Recipe(folder=".venv-demo", group="demo")
_SECOND = os.environ.get("DJANGO_JOBS_VENV")
DEVELOPMENT = Recipe(
    folder=_SECOND or ".venv", group="test" if _SECOND else "dev", optional_extras=("postgresql", "mysql")
)
"""Tests, linters, benchmarks. ``DJANGO_JOBS_VENV`` names another folder, for tests on a second version of Python."""


def ensure_environment(recipe: Recipe) -> None:
    """Return inside the virtual environment of ``recipe``; make it if it is missing or out of date.

    Outside of it the process is replaced: the same command starts again inside. Ends the process with a plain
    sentence if the environment cannot be made.
    """
    folder = ROOT / recipe.folder
    if Path(sys.prefix).resolve() == folder.resolve():
        return
    python = make_environment(recipe)
    sys.stdout.flush()
    os.execv(python, [str(python), *sys.orig_argv[1:]])


def make_environment(recipe: Recipe) -> Path:
    """Make or renew the virtual environment of ``recipe`` if needed and return its interpreter."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or later is needed; this is {sys.version.split()[0]}")
    folder = ROOT / recipe.folder
    python = folder / "bin" / "python"
    wanted = _wanted(recipe)
    if not python.exists() or _installed(folder) != wanted:
        _make(folder, python, recipe)
        (folder / STAMP).write_text(json.dumps(wanted))
    return python


def _wanted(recipe: Recipe) -> dict[str, object]:
    """Return what an environment depends on; build tools are in it so that new ones give optional extras a try."""
    return {
        "python": [sys.base_prefix, list(sys.version_info[:3])],
        "requirements": hashlib.sha256(_requirements().encode()).hexdigest(),
        "parts": [recipe.group, list(recipe.optional_extras)],
        "tools": [tool for tool in BUILD_TOOLS if shutil.which(tool)],
    }


def _requirements() -> str:
    """Return what is to be installed: not all of ``pyproject.toml``, much of which concerns tools' options."""
    # At module level this would be an error on an older Python, before it is told what it lacks.
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = [project["build-system"], project["project"], project["dependency-groups"]]
    return json.dumps(parts) + CONSTRAINTS.read_text()


def _installed(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return None


def _make(folder: Path, python: Path, recipe: Recipe) -> None:
    print(f"Preparing {folder.name} (once; takes a minute) ...", file=sys.stderr, flush=True)
    # "--clear" would leave an interpreter of another version's files behind on some systems; a new folder does not.
    shutil.rmtree(folder, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit("no virtual environment could be made; on Debian: apt-get install python3-venv")
    # The pip of an older Python knows neither dependency groups nor constraints of a build.
    _pip(python, "--upgrade", "pip")
    group = ("--group", f"{ROOT / 'pyproject.toml'}:{recipe.group}")
    if recipe.optional_extras and _can_install(python, *group, *_editable(*recipe.optional_extras)):
        return
    _pip(python, *group, *_editable())
    for extra in recipe.optional_extras:
        if not _can_install(python, *_editable(extra)):
            print(
                f"Continuing without {extra!r}, which could not be installed. {HINTS.get(extra, '')}".rstrip(),
                file=sys.stderr,
            )


def _can_install(python: Path, *arguments: str) -> bool:
    command = _pip_command(python, *arguments)
    return not subprocess.run(command, check=False, capture_output=True, env=_quiet_environment()).returncode


def _editable(*extras: str) -> list[str]:
    constraints = ["--build-constraint", str(CONSTRAINTS)]
    return [*constraints, "--editable", f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)]


def _pip(python: Path, *arguments: str) -> None:
    done = subprocess.run(_pip_command(python, *arguments), check=False, env=_quiet_environment())
    if done.returncode:
        sys.exit(f"pip could not install what is needed (see above); is there a network? ({' '.join(arguments)})")


def _pip_command(python: Path, *arguments: str) -> list[str]:
    # Python compiles what is imported, a third of it; pip would compile all.
    options = ["--quiet", "--no-compile", "--constraint", str(CONSTRAINTS)]
    return [str(python), "-m", "pip", "install", *options, *arguments]


def _quiet_environment() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}


if __name__ == "__main__":
    print(make_environment(DEVELOPMENT).parent.parent)
