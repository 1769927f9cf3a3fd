"""The roots that are installed, and a module of sample Tasks for each."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from django_jobs.contrib.tasks.roots import ROOTS, Root

NAMES = {root.name: f"tests.contrib.tasks.samples_on_{'django' if '.' in root.name else 'backport'}" for root in ROOTS}


def task_decorator(module: str) -> Any:
    """Return ``@task`` of the root that a module of samples is for."""
    return next(import_module(root).task for root, name in NAMES.items() if name == module)


def samples(root: Root) -> ModuleType:
    """Return the module of samples of a root; its Tasks are built under the settings of the first call."""
    name = NAMES[root.name]
    if name not in sys.modules:
        spec = spec_from_file_location(name, Path(__file__).with_name("samples.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
