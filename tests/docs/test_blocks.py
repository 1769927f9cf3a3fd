"""Blocks of code in the docs that are not Python can be read by what would read them."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.databases import ROOT

from .pages import PAGES, blocks, title

LANGUAGES = {
    "python", "console", "text", "sql", "ini", "yaml", "toml", "json", "nginx", "dockerfile", "html", "javascript",
    "mermaid", "sh", "promql", "django", "http",
}  # fmt: skip


def _read_ini(text: str) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None, inline_comment_prefixes="#")
    parser.read_string(text if text.lstrip("# \n").startswith("[") or "\n[" in text else f"[top]\n{text}")


READERS: dict[str, Callable[[str], object]] = {
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "toml": tomllib.loads,
    "json": json.loads,
    "ini": _read_ini,
}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_blocks_are_in_a_known_language_and_can_be_read(page: Path) -> None:
    for language, text in blocks(page):
        if language:
            assert language in LANGUAGES, f"unknown: {language}"
        if language in READERS:
            READERS[language](text)


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    (text,) = (text for language, text in blocks(ROOT / "docs" / "deployment.md") if "[Service]" in text)
    unit = tmp_path / "shop-worker.service"
    unit.write_text(
        re.sub(r"^(User|WorkingDirectory|EnvironmentFile)=.*\n", "", text, flags=re.MULTILINE).replace(
            "/srv/shop/.venv/bin/python", shutil.which("python3") or "/bin/true"
        )
    )
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], check=False, capture_output=True, text=True)
    assert str(unit) not in done.stderr, done.stderr


def test_the_composition_is_one_that_docker_takes(tmp_path: Path) -> None:
    if shutil.which("docker") is None:
        pytest.skip("no docker here")
    (text,) = (text for language, text in blocks(ROOT / "docs" / "deployment.md") if text.startswith("services:"))
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    done = subprocess.run(
        ["docker", "compose", "-f", str(file), "config", "--quiet"], check=False, capture_output=True, text=True
    )
    if "docker compose" in done.stderr or "unknown shorthand flag" in done.stderr:
        pytest.skip("no docker compose here")
    assert done.returncode == 0, done.stderr
