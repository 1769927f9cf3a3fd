"""URLs of the served project: the tests' own, customers with their jobs, a page with a progress bar, and an icon."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from django_jobs.admin import JobsForObjectMixin
from django_jobs.models import Job
from testproject.test_urls import urlpatterns as tests_own
from tests.sampleapp.models import Customer

PAGE = """<!doctype html><html lang="en"><head><title>Export</title></head><body><main><h1>Export</h1>
{% load django_jobs %}{% job_progress job %}</main></body></html>"""


def icon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def show_export(request: HttpRequest, pk: int) -> HttpResponse:
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render({"job": Job.objects.get(pk=pk)}, request))


@admin.register(Customer)
class CustomerAdmin(JobsForObjectMixin, admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    jobs_argument = "customer_id"


urlpatterns = [
    path("admin/", admin.site.urls),  # read anew: the tests' own were read without the customers
    *(one for one in tests_own if str(one.pattern) != "admin/"),
    path("favicon.ico", icon),
    path("export/<int:pk>/", show_export),
]
