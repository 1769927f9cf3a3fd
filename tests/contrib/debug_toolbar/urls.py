from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpResponse
from django.urls import include, path

from django_jobs import chain
from tests.sampleapp import jobs as sample

CARD = "4111-1111"
PAGE = "<!DOCTYPE html><html><body>{}</body></html>"


def enqueue(request: Any) -> HttpResponse:
    sample.named.enqueue(7)
    sample.charge.enqueue(CARD)
    sample.echo.enqueue_many([(number,) for number in range(60)])
    chain(sample.echo.s(1), sample.named.s()).enqueue()
    return HttpResponse(PAGE.format("enqueued"))


async def aenqueue(request: Any) -> HttpResponse:
    await sample.echo.aenqueue("<b>")
    return HttpResponse(PAGE.format("enqueued"))


def fail(request: Any) -> HttpResponse:
    try:
        sample.sync.enqueue_stream([(1,)])
    except ValueError:
        return HttpResponse(PAGE.format("refused"))
    raise AssertionError


def nothing(request: Any) -> HttpResponse:
    return HttpResponse(PAGE.format("nothing"))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("enqueue/", enqueue),
    path("aenqueue/", aenqueue),
    path("fail/", fail),
    path("nothing/", nothing),
    path("__debug__/", include("debug_toolbar.urls")),
]
