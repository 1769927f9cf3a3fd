"""URLs of jobs: ``path("jobs/", include("django_jobs.web.urls"))``."""

from __future__ import annotations

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.urls import path, register_converter
from django.urls.converters import StringConverter

if not apps.is_installed("django_jobs.web"):  # before the imports below, which load the app's models
    raise ImproperlyConfigured(
        'include("django_jobs.web.urls") needs the app "django_jobs.web"; add it to INSTALLED_APPS and migrate'
    )

from .enqueue import enqueue
from .metrics import metrics
from .openapi import NAME, openapi
from .push import push
from .result import result
from .status import status
from .stream import events


class JobNameConverter(StringConverter):
    """Any text: the view answers names that no job can have with problem details."""

    regex = r"[\s\S]+"


register_converter(JobNameConverter, "django_jobs_name")

app_name = "django_jobs"
urlpatterns = [
    path(NAME, openapi, name="openapi"),
    path("enqueue/<django_jobs_name:name>/", enqueue, name="enqueue"),
    path("push/<str:name>/", push, name="push"),
    path("metrics/", metrics, name="metrics"),
    path("<str:key>/", status, name="status"),
    path("<str:key>/result/", result, name="result"),
    path("<str:key>/events/", events, name="events"),
]
