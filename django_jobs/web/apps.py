"""The optional app: its tables are made and its admin pages, commands and tags are there only if it is installed."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebConfig(AppConfig):
    """Status pages of jobs and enqueue over HTTP."""

    name = "django_jobs.web"
    label = "django_jobs_web"
    verbose_name = _("Background jobs over HTTP")
    default_auto_field = "django.db.models.BigAutoField"
