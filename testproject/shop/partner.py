"""Speak JSON over HTTP with the shop's partners: carrier, bank and whoever wants to know of orders."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

from django.conf import settings

TIMEOUT_SECONDS = 5


class PartnerUnavailable(Exception):
    """The partner cannot answer now (status 5xx, or no connection); a later try may go well."""


class PartnerBusy(Exception):
    """The partner is asked too often (status 429), and says when to ask again."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PartnerRefused(Exception):
    """The partner will not do this (status 4xx), however often it is asked."""


def post_json(path: str, payload: dict[str, Any], *, key: str) -> dict[str, Any]:
    """Post ``payload`` and return the answer.

    ``key`` makes a repeated call harmless: a job may run twice, so the partner must be able to tell that
    both calls are one. Raises PartnerUnavailable, PartnerBusy and PartnerRefused.
    """
    request = urllib.request.Request(
        settings.SHOP_PARTNERS_URL + path,
        data=json.dumps(payload).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": key},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        said = f"{path} answered {error.code}: {_reason(error)}"
        if error.code == HTTPStatus.TOO_MANY_REQUESTS:
            raise PartnerBusy(said, retry_after=float(error.headers.get("Retry-After", 1))) from None
        kind = PartnerUnavailable if error.code >= 500 else PartnerRefused
        raise kind(said) from None
    except OSError as error:
        raise PartnerUnavailable(f"{path} did not answer: {error}") from error


def _reason(error: urllib.error.HTTPError) -> str:
    with error:
        text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (KeyError, TypeError, ValueError):
        return text[:200]
