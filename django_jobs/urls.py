"""The addresses of jobs: ``path("jobs/", include("django_jobs.urls"))``."""

from __future__ import annotations

from django.urls import path

from .views.result import result
from .views.status import status
from .views.stream import events

app_name = "django_jobs"
urlpatterns = [
    path("<str:key>/", status, name="status"),
    path("<str:key>/result/", result, name="result"),
    path("<str:key>/events/", events, name="events"),
]
