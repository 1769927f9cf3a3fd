"""The environment of programs that tests start: workers and servers that use the test database."""

from __future__ import annotations

import os

from django.db import connection

from tests.databases import ROOT, chosen_vendor


def environment_of_programs() -> dict[str, str]:
    """Return it, once the test database is made."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "testproject.test_settings",
        "DJANGO_JOBS_TEST_DATABASE": chosen_vendor(),
        "DJANGO_JOBS_TEST_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",  # a process that is aborted shows what its threads do
    }
