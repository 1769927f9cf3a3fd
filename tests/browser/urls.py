"""URLs of the served project: the tests' own, a page with a progress bar, and an icon, so that none is missed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from django_jobs.models import Job
from testproject.test_urls import urlpatterns as tests_own

PAGE = """<!doctype html><html lang="en"><head><title>Export</title></head><body><main><h1>Export</h1>
{% load django_jobs %}{% job_progress job %}</main></body></html>"""


def icon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def show_export(request: HttpRequest, pk: int) -> HttpResponse:
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render({"job": Job.objects.get(pk=pk)}, request))


urlpatterns = [*tests_own, path("favicon.ico", icon), path("export/<int:pk>/", show_export)]
