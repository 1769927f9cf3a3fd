"""URLs of the themed project: the tests' own, and those that grappelli asks for."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from testproject.test_urls import urlpatterns as tests_own


def icon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


themes_own = [path("grappelli/", include("grappelli.urls"))] if "grappelli" in settings.INSTALLED_APPS else []

urlpatterns = [*themes_own, *tests_own, path("favicon.ico", icon)]
