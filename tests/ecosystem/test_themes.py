"""Themes of the admin, each installed: every page opens, and its buttons, marks and tables can be read."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.databases import ROOT

THEMES = ("unfold", "jazzmin", "grappelli", "admin_interface")


@pytest.mark.parametrize("theme", THEMES)
def test_the_admin_works_under(theme: str, tmp_path: object) -> None:
    environment = {
        **os.environ,
        "ADMIN_THEME": theme,
        "DJANGO_SETTINGS_MODULE": "tests.ecosystem.themes.settings",
        "DJANGO_JOBS_TEST_DATABASE": "sqlite",
        "DJANGO_JOBS_TEST_NAME": f"{tmp_path}/{theme}.sqlite3",
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "default",
            "tests/ecosystem/themes/visit.py",
        ],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout, done.stdout
