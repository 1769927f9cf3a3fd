"""URLs of the served project: the tests' own, and an icon, so that the browser does not miss one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from testproject.test_urls import urlpatterns as tests_own


def icon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [*tests_own, path("favicon.ico", icon)]
