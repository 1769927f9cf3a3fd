"""Syntax trees of source files."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def parse(path: Path) -> ast.Module:
    """Return the tree of a file, made in one go.

    A garbage collection in the middle lets other threads run. If one of these formats a traceback, which parses a line,
    CPython 3.11 may raise "AST constructor recursion depth mismatch" here.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        if was_enabled:
            gc.enable()
