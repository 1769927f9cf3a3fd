"""The Django app: imports every app's ``jobs`` module once all apps are ready."""

from __future__ import annotations

import logging
from types import ModuleType

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class DjangoJobsConfig(AppConfig):
    """Registers the models, the system checks and the built-in jobs, and imports every app's ``jobs.py``."""

    name = "django_jobs"
    verbose_name = _("Background jobs")
    default_auto_field = "django.db.models.BigAutoField"

    @property
    def operations(self) -> ModuleType:
        """The public operations, for the models, which stand below them and offer them: ``job.cancel()``."""
        from . import operations

        return operations

    @staticmethod
    def enable_loggers() -> None:
        """Enable the engine's loggers: a logging configuration disables those made before it, unless it says otherwise.

        A worker process, or settings that import from here, have made some by then.
        """
        for name, logger in list(logging.Logger.manager.loggerDict.items()):
            if isinstance(logger, logging.Logger) and f"{name}.".startswith("django_jobs."):
                logger.disabled = False

    def ready(self) -> None:
        """Import ``<app>/jobs.py`` of every installed app, as the admin does with ``admin.py``."""
        from . import builtin_jobs, checks  # noqa: F401 - registers the built-in jobs and the checks
        from .log_escapes import escape_log_records

        self.enable_loggers()
        escape_log_records()
        autodiscover_modules("jobs")
