"""The Django app: imports every app's ``jobs`` module, and what task backends ask for, once all apps are ready."""

from __future__ import annotations

import logging
from types import ModuleType

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules, import_string
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

    @staticmethod
    def task_modules() -> tuple[str, ...]:
        """Return the names of the modules that the backends in the setting TASKS want imported from each app."""
        if not settings.is_overridden("TASKS"):  # type: ignore[misc]  # the plugin knows no methods of settings
            return ()
        names: dict[str, None] = {}
        for params in settings.TASKS.values():
            path = params.get("BACKEND", "")
            try:
                backend = import_string(path)
            except Exception:
                if path.startswith("django_jobs."):
                    raise
                continue  # whoever uses that backend is told
            names |= dict.fromkeys(getattr(backend, "autodiscovered_modules", ()))
        return tuple(names)

    def ready(self) -> None:
        """Import ``<app>/jobs.py`` of every installed app, as the admin does with ``admin.py``; Tasks, too."""
        from . import builtin_jobs, checks  # noqa: F401 - registers the built-in jobs and the checks
        from .brokers import replay_jobs  # noqa: F401 - registers those of messages
        from .contrib.mail import jobs  # noqa: F401 - registers the one that sends mails
        from .functions.startup import run_steps
        from .loggers import harden_loggers

        self.enable_loggers()
        harden_loggers()
        autodiscover_modules("jobs", *self.task_modules())
        run_steps()
        self._enable_metrics()

    @staticmethod
    def _enable_metrics() -> None:
        """Have workers serve metrics if the setting says so; wrong settings are for the checks to tell."""
        from .conf import get_settings
        from .exceptions import ConfigurationError

        try:
            is_enabled = get_settings().metrics.prometheus
        except ConfigurationError:
            return
        if is_enabled:
            from .contrib.prometheus import enable

            enable()
