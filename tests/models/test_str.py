"""What a row is called in Django's admin log, in titles and in logs: more people read that than a job's values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import models
from django.test import Client

from django_jobs.limits import CircuitBreaker
from tests import factories
from tests.admin.staff import log_in, url

SECRET = "4929-1234"
NAMES = frozenset(
    ("name", "job_name", "queue_name", "error_class", "reason", "status", "state", "outcome", "source", "fingerprint")
    + ("hostname", "description", "timezone", "job_names", "release", "project")
    + ("broker", "group", "partition")
)
"""Fields that name things; none holds a value that a job was given, or made."""
MODELS = list(apps.get_app_config("django_jobs").get_models())
# The web's tokens are called by their public key.


def _filled(model: type[models.Model]) -> models.Model:
    """Return an unsaved row with the secret in each field that could hold a job's value."""
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if isinstance(field, models.JSONField):
            values[field.attname] = {"card": SECRET}
        elif isinstance(field, models.CharField | models.TextField) and field.name not in NAMES and not field.choices:
            values[field.attname] = SECRET
        elif isinstance(field, models.DateTimeField):
            values[field.attname] = datetime(2026, 1, 1, tzinfo=UTC)
        elif isinstance(field, models.UUIDField):
            values[field.attname] = uuid4()
        elif isinstance(field, models.IntegerField | models.ForeignKey):
            values[field.attname] = 1
    return model(**values)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_model_calls_its_rows_by_a_value_of_a_job(model: type[models.Model]) -> None:
    row = _filled(model)
    assert SECRET not in str(row)
    assert SECRET not in repr(row)


@pytest.mark.django_db(transaction=True)
def test_the_admin_log_has_no_key_of_a_limit(client: Client) -> None:
    log_in(client, "view_limit", "reopen_limit")
    fields = {"name": "shop.ask", "key": SECRET, "is_tripped": True, "closed_until": factories.ago(minutes=-5)}
    limit = factories.make_limit(CircuitBreaker(failures=5), **fields)
    client.post(url("limit_reopen", limit.pk), follow=True)
    entry = LogEntry.objects.get()
    assert "shop.ask" in entry.object_repr
    assert SECRET not in entry.object_repr + entry.change_message
