"""Control characters in the texts of rows are seen on every page, and act on none."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import models
from django.test import Client

from django_jobs.brokers.replay_jobs import COUNT_MESSAGES
from django_jobs.models import DeadLetter, Job, JobLog
from django_jobs.policy.states import State
from tests import factories

from .every_page import make_rows, page_addresses
from .staff import url

pytestmark = pytest.mark.django_db(transaction=True)

CODED = {"cron", "timezone", "fingerprint", "rule", "failures", "outcome", "project", "secret_hash"}
"""Texts that only the engine writes, or that it has checked."""
ODD = "o\x1b[31m\x07\x7f\u202ed"
SHOWN = "o\u241b[31m\u2407\u2421\\u202ed"
RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]")
FIELDS = re.compile(r'\bvalue="[^"]*"|<textarea\b.*?</textarea>', re.DOTALL)


def make_odd(row: models.Model) -> None:
    """Put control characters into every text of a row that is not one of a few choices."""
    changes: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.primary_key or field.choices or field.name in CODED:
            continue
        if isinstance(field, models.JSONField):
            changes[field.attname] = odd_json(value)
        elif isinstance(field, models.CharField | models.TextField):
            changes[field.attname] = value + ODD
    models.QuerySet(type(row)).filter(pk=row.pk).update(**changes)


def odd_json(value: Any) -> Any:
    """Return JSON with control characters in each of its texts; one with a name where there is nothing."""
    if isinstance(value, list):
        return [odd_json(one) for one in value]
    if isinstance(value, dict):
        return {key + ODD: odd_json(one) for key, one in value.items()} or {"name": ODD}
    if value is None:
        return {"name": ODD}
    return value + ODD if isinstance(value, str) else value


def shown_text(response: Any) -> str:
    """Return what a page, a text or the JSON for a script shows, without what its forms post back."""
    if response["Content-Type"] == "application/json":
        return "".join(text for text in response.json().values() if isinstance(text, str))
    return FIELDS.sub("", response.content.decode())


def test_every_page_shows_control_characters_as_symbols(admin_client: Client) -> None:
    rows = make_rows()
    for row in [*rows, *JobLog.objects.all()]:
        make_odd(row)
    models.QuerySet(Job).filter(name=COUNT_MESSAGES).update(metadata={"by": ODD})
    job = next(row for row in rows if isinstance(row, Job) and row.state == State.RUNNING)
    letter = next(row for row in rows if isinstance(row, DeadLetter))
    addresses = [
        *page_addresses(rows), url("dashboard_now"), url("job_log", job.pk), url("deadletter_text", letter.pk)
    ]  # fmt: skip
    without = []
    for address in addresses:
        response = admin_client.get(address)
        assert response.status_code == 200, address
        text = shown_text(response)
        raw = RAW.search(text)
        assert raw is None, (address, text[max(raw.start() - 80, 0) : raw.end()])
        if SHOWN not in text:
            without.append(address)
    assert without == []


def test_a_download_is_left_as_it_is(admin_client: Client) -> None:
    make_odd(factories.make_letter())
    response = admin_client.get(url("deadletter_export", "json"))
    assert json.loads(response.getvalue())["error_message"].endswith(ODD)


def test_a_form_posts_back_what_it_was_given(admin_client: Client) -> None:
    letter = factories.make_letter(note=ODD)
    page = admin_client.get(url("deadletter_change", letter.pk)).content.decode()
    assert f">{ODD}</textarea>" in page
