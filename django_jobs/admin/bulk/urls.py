"""The addresses of a subject's bulk actions, under ``bulk/`` of its list."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern

from ..site.page_admin import PageAdmin
from . import progress
from .confirm import confirm_bulk
from .subject import BulkSubject


def bulk_paths(model_admin: PageAdmin[Any], subject: BulkSubject) -> list[URLPattern]:
    """Return the pages that ask, show the progress and stop."""

    def confirm(model_admin: PageAdmin[Any], request: HttpRequest, key: str) -> HttpResponse:
        return confirm_bulk(model_admin, request, subject, key)

    def show(model_admin: PageAdmin[Any], request: HttpRequest, pk: int) -> HttpResponse:
        return progress.progress_view(model_admin, request, subject, pk)

    def now(model_admin: PageAdmin[Any], request: HttpRequest, pk: int) -> JsonResponse:
        return progress.progress_json_view(model_admin, request, subject, pk)

    def stop(model_admin: PageAdmin[Any], request: HttpRequest, pk: int) -> HttpResponse:
        return progress.stop_view(model_admin, request, subject, pk)

    prefix = subject.prefix
    return [
        model_admin.page_path("bulk/<int:pk>/", show, f"{prefix}_bulk"),
        model_admin.page_path("bulk/<int:pk>/now/", now, f"{prefix}_bulk_now"),
        model_admin.page_path("bulk/<int:pk>/stop/", stop, f"{prefix}_bulk_stop"),
        model_admin.page_path("bulk/<slug:key>/", confirm, f"{prefix}_bulk_start"),
    ]
