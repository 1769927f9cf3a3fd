"""The addresses of jobs: ``path("jobs/", include("django_jobs.web.urls"))``."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from .enqueue import enqueue
from .openapi import NAME, openapi
from .result import result
from .status import status
from .stream import events


class NameConverter(StringConverter):
    """Any text at all: what is no name of a job is answered by the view, in words."""

    regex = r"[\s\S]+"


register_converter(NameConverter, "django_jobs_name")

app_name = "django_jobs"
urlpatterns = [
    path(NAME, openapi, name="openapi"),
    path("enqueue/<django_jobs_name:name>/", enqueue, name="enqueue"),
    path("<str:key>/", status, name="status"),
    path("<str:key>/result/", result, name="result"),
    path("<str:key>/events/", events, name="events"),
]
