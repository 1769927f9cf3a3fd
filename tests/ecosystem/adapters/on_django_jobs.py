"""Settings of somebody else's tests, named by ``THEIR_SETTINGS``, with tasks on this package's backend.

Their tests were written for ImmediateBackend and look at results right after the enqueue: ``AtOnce`` runs what was
enqueued there and then, by the real engine.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

_theirs = {name: value for name, value in vars(import_module(os.environ["THEIR_SETTINGS"])).items() if name.isupper()}
_IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"


def _on_our_backend(tasks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    ours = {"BACKEND": "at_once.AtOnce", "OPTIONS": {"max_attempts": 1}}
    return {alias: {**entry, **ours} if entry["BACKEND"] == _IMMEDIATE else entry for alias, entry in tasks.items()}


globals().update(
    {
        **_theirs,
        "INSTALLED_APPS": [*_theirs["INSTALLED_APPS"], "django_jobs"],
        "TASKS": _on_our_backend(_theirs.get("TASKS", {"default": {"BACKEND": _IMMEDIATE}})),
        "SILENCED_SYSTEM_CHECKS": ["django_jobs.W004"],
    }
)
