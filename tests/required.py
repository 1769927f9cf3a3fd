"""Skip a test that lacks a program, with a clear word; fail it where ``python3 tests --require-all`` runs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from tests.databases import REQUIRE_ALL


def is_missing(what: str) -> NoReturn:
    """End the test at hand: ``what`` says what it needs and where that comes from."""
    if os.environ.get(REQUIRE_ALL):
        pytest.fail(f"missing, and everything is required: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")
