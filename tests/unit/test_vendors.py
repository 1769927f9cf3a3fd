"""A database vendor is a folder: nothing else in the package asks which one it is talking to."""

import ast
from pathlib import Path

import pytest

import django_jobs
from tests.databases import VENDORS
from tests.sources import parse

pytestmark = pytest.mark.one_version

PACKAGE = Path(django_jobs.__file__).parent
NOTIFIER = "worker/duties/notifiers/__init__.py"
"""Chooses how idle workers are woken."""


def asks_for_the_vendor(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "vendor") or (
        isinstance(node, ast.Constant) and node.value in VENDORS
    )


def test_only_the_dialects_and_the_notifier_ask_which_vendor_a_database_is_of():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name == NOTIFIER or name.startswith("store/dialects/"):
            continue
        tree = parse(path)
        found += [f"{name}:{node.lineno}" for node in ast.walk(tree) if asks_for_the_vendor(node)]

    assert found == []
