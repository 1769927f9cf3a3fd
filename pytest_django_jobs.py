"""The pytest plugin of django_jobs: the fixtures ``jobs`` and ``drained_jobs``.

Every pytest of an environment imports this module, also those of projects without Django: it imports neither Django nor
django_jobs before a test uses a fixture. Inside of the package it could not: that imports both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from django_jobs.testing import drained


def pytest_configure(config: pytest.Config) -> None:
    """Choose how a test comes to its database: pytest-django makes those that fixtures name before the first test."""
    has_pytest_django = any(map(config.pluginmanager.hasplugin, ("django", "pytest_django.plugin")))
    config.pluginmanager.register(_DatabaseOfPytestDjango() if has_pytest_django else _DatabaseOfTheProject())


class _DatabaseOfPytestDjango:
    @pytest.fixture
    def _jobs_database(self, db: None) -> None:
        """The test database."""


class _DatabaseOfTheProject:
    @pytest.fixture
    def _jobs_database(self) -> None:
        """Whatever the project has set up."""
        from django.apps import apps

        if not apps.ready:
            pytest.fail(
                "the fixtures of django_jobs need Django to be set up: install pytest-django and name the settings, or"
                " call django.setup() in conftest.py",
                pytrace=False,
            )


@pytest.fixture
def jobs(_jobs_database: None) -> ModuleType:
    """``django_jobs.testing``, with access to the database: ``jobs.assert_enqueued(send_welcome.s(7))``.

    The database is pytest-django's fixture ``db``; a test that needs commits asks for ``transactional_db`` as well, or
    has the mark ``django_db(transaction=True)``.
    """
    import django_jobs.testing

    return django_jobs.testing


@pytest.fixture
def drained_jobs(jobs: ModuleType) -> type[drained]:
    """``django_jobs.testing.drained``: ``with drained_jobs() as drained: client.post(...)``.

    At the end of the block its ``on_commit`` callbacks are called, and then jobs are run until none is left.
    """
    block: type[drained] = jobs.drained
    return block
