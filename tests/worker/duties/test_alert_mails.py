"""Admins are mailed about new errors, once; what could not be mailed is mailed later."""

from __future__ import annotations

from typing import Any

import django
import pytest
from django.core import mail
from django.test import override_settings

from django_jobs.models import Worker
from django_jobs.store.dead_letters.resolve_group import resolve_group
from django_jobs.worker.duties import alert_mails
from django_jobs.worker.duties.maintenance import Maintenance
from tests import factories
from tests.private.base import free_port
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)

ADMINS = ["ada@example.com"] if django.VERSION >= (6, 0) else [("Ada", "ada@example.com")]


def _maintain(worker: Worker | None = None) -> Maintenance:
    worker = worker or factories.make_worker()
    maintenance = Maintenance(make_context(RecordedEvents(), worker_id=worker.pk))
    maintenance.step()
    return maintenance


@override_settings(ADMINS=ADMINS, DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True, "MAIL_ADMINS_PERIOD": 3600}})
def test_admins_are_mailed_once_per_fingerprint_and_period() -> None:
    for _ in range(3):
        factories.make_letter(fingerprint="a" * 32, error_message="no such card")
    factories.make_letter(fingerprint="b" * 32, job_name="other")
    first, second = factories.make_worker(), factories.make_worker()
    _maintain(first).step()
    _maintain(second)
    assert len(mail.outbox) == 2
    subjects = sorted(message.subject for message in mail.outbox)
    assert subjects[1].endswith("sample failed for good: RuntimeError")
    body = next(message.body for message in mail.outbox if "sample" in message.subject)
    assert "RuntimeError: no such card" in body
    assert "Dead letters with this error lately: 3." in body
    assert "In the admin: /admin/django_jobs/deadletter/" in body


@override_settings(ADMINS=ADMINS, DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True}})
def test_admins_are_mailed_that_a_resolved_error_came_back() -> None:
    factories.make_letter(fingerprint="a" * 32)
    maintenance = _maintain()
    resolve_group("a" * 32, by="ada")
    maintenance.step()
    assert len(mail.outbox) == 1
    factories.make_letter(fingerprint="a" * 32)
    maintenance.step()
    assert mail.outbox[1].subject.endswith("sample came back: RuntimeError")
    assert mail.outbox[1].body.startswith("This error was resolved by ada at ")


@override_settings(ADMINS=ADMINS, DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True, "BASE_URL": "https://shop.example/"}})
def test_links_of_mails_are_absolute_if_the_settings_name_the_site() -> None:
    dead_letter = factories.make_letter(attempt=1)
    _maintain()
    body = mail.outbox[0].body
    assert f"In the admin: https://shop.example/admin/django_jobs/deadletter/{dead_letter.pk}/change/" in body
    assert "after 1 attempt, at" in body


@override_settings(ADMINS=ADMINS)
def test_admins_are_not_mailed_by_default() -> None:
    factories.make_letter()
    _maintain()
    assert mail.outbox == []


@override_settings(ADMINS=ADMINS, DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True}})
def test_what_no_mail_server_took_is_mailed_by_another_worker(caplog: pytest.LogCaptureFixture) -> None:
    for fingerprint in "ab":
        factories.make_letter(fingerprint=fingerprint * 32)
    with override_settings(**_no_server()):
        maintenance = _maintain()
    assert caplog.text.count("could not be mailed about dead letter") == 2
    maintenance.step()
    assert mail.outbox == [], "it waits before it tries again"
    _maintain()
    assert len(mail.outbox) == 2
    _maintain()
    assert len(mail.outbox) == 2


@override_settings(ADMINS=ADMINS, DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True}})
def test_what_no_mail_server_took_is_mailed_again_by_the_same_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_mails, "RETRY_SECONDS", 0.0)
    factories.make_letter(fingerprint="a" * 32)
    resolve_group("a" * 32, by="ada")
    factories.make_letter(fingerprint="a" * 32)
    with override_settings(**_no_server()):
        maintenance = _maintain()
    maintenance.step()
    assert [message.body.partition(" at ")[0] for message in mail.outbox] == ["This error was resolved by ada"]
    maintenance.step()
    assert len(mail.outbox) == 1


def _no_server() -> dict[str, Any]:
    """Settings of mail with a port at which nobody listens."""
    backend, port = "django.core.mail.backends.smtp.EmailBackend", free_port()
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": {"host": "127.0.0.1", "port": port}}}}
    return {"EMAIL_BACKEND": backend, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port}
