"""Make the virtual environment that a command of this repository needs, and go on in it.

Standard library only: this runs with whatever ``python3`` a fresh machine has. What is installed is what
``pyproject.toml`` says: the package itself (editable), dependency groups and extras.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
STAMP = "installed.json"
BUILD_TOOLS = ("gcc", "pkg-config", "mariadb_config", "mysql_config")
HINTS = {
    "mysql": "mysqlclient needs MariaDB's or MySQL's headers to be built;"
    " on Debian: apt-get install gcc pkg-config libmariadb-dev python3-dev",
}


def ensure_environment(
    name: str, groups: Sequence[str], extras: Sequence[str] = (), optional_extras: Sequence[str] = ()
) -> None:
    """Return inside the virtual environment ``name`` of this repository; make or renew it where needed.

    Outside of it the process is replaced: the same command starts anew in it. An extra in
    ``optional_extras`` that cannot be installed is said to be missing, and passed over. Ends
    the process with a plain sentence where anything else fails.
    """
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or later is needed; this is {sys.version.split()[0]}"
        )
    folder = ROOT / name
    if Path(sys.prefix).resolve() == folder.resolve():
        return
    python = folder / "bin" / "python"
    wanted = _wanted(groups, extras, optional_extras)
    if not python.exists() or _installed(folder) != wanted:
        _make(folder, python, groups=groups, extras=extras, optional_extras=optional_extras)
        (folder / STAMP).write_text(json.dumps(wanted))
    sys.stdout.flush()
    os.execv(python, [str(python), *sys.orig_argv[1:]])


def _wanted(
    groups: Sequence[str], extras: Sequence[str], optional_extras: Sequence[str]
) -> dict[str, object]:
    """Return what an environment depends on; build tools are in it so that new ones give optional extras a try."""
    return {
        "python": [sys.base_prefix, list(sys.version_info[:3])],
        "project": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "parts": [list(groups), list(extras), list(optional_extras)],
        "tools": [tool for tool in BUILD_TOOLS if shutil.which(tool)],
    }


def _installed(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return None


def _make(
    folder: Path,
    python: Path,
    *,
    groups: Sequence[str],
    extras: Sequence[str],
    optional_extras: Sequence[str],
) -> None:
    print(f"Preparing {folder.name} (once; takes a minute) ...", flush=True)
    # "--clear" would leave an interpreter of another version's files behind on some systems; a new folder does not.
    shutil.rmtree(folder, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit("no virtual environment could be made; on Debian: apt-get install python3-venv")
    _pip(python, "--upgrade", "pip>=25.1")
    _pip(
        python,
        *(part for group in groups for part in ("--group", f"{ROOT / 'pyproject.toml'}:{group}")),
        *_editable(extras),
    )
    for extra in optional_extras:
        failed = subprocess.run(
            _pip_command(python, *_editable([extra])),
            check=False,
            capture_output=True,
            text=True,
            env=_quiet_environment(),
        )
        if failed.returncode:
            print(
                f"Going on without {extra!r}, which could not be installed. {HINTS.get(extra, '')}".rstrip()
            )


def _editable(extras: Sequence[str]) -> list[str]:
    return ["--editable", f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)]


def _pip(python: Path, *arguments: str) -> None:
    done = subprocess.run(_pip_command(python, *arguments), check=False, env=_quiet_environment())
    if done.returncode:
        sys.exit(
            f"pip could not install what is needed (see above); is there a network? ({' '.join(arguments)})"
        )


def _pip_command(python: Path, *arguments: str) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", *arguments]


def _quiet_environment() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
