"""Jobs that call another server over HTTP, under one limit each."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import timedelta

from django_jobs import job
from django_jobs.exceptions import RateLimited
from django_jobs.limits import Concurrency, RateLimit

RETRY_AFTER_SECONDS = 1.5
CALL_SECONDS = 10


def call(url: str, key: str, number: int) -> None:
    """Call the server once; a refusal is handed on to the limit."""
    request = urllib.request.Request(f"{url}/{key}", data=str(number).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 429:
                raise RateLimited(RETRY_AFTER_SECONDS) from error
            raise


@job
def plain_call(url: str, key: str, number: int) -> None:
    call(url, key, number)


@job(rate_limit=RateLimit(5, per=timedelta(seconds=1), key="key"))
def rated_call(url: str, key: str, number: int) -> None:
    call(url, key, number)


@job(rate_limit=RateLimit(1, per=timedelta(seconds=0.2), key="key"))
def slow_rated_call(url: str, key: str, number: int) -> None:
    call(url, key, number)


@job(concurrency=Concurrency(3, key="key"))
def capped_call(url: str, key: str, number: int) -> None:
    call(url, key, number)


@job(ordering_key="key")
def ordered_call(url: str, key: str, number: int) -> None:
    call(url, key, number)
