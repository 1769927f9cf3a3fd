"""The tokens' admin pages: created and shown once, listed without secrets, revoked with permission."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from django_jobs.builtin_jobs import purge_jobs_matching
from django_jobs.contrib.mail.jobs import SEND_MAIL
from django_jobs.web.models import Token
from django_jobs.web.tokens import create_token, find_token
from tests.admin.staff import log_in
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def url(name: str, *args: object) -> str:
    """Return the URL of one of the tokens' pages."""
    return reverse(f"admin:django_jobs_web_token_{name}", args=args)


def test_a_new_token_is_shown_once_and_works(client: Client) -> None:
    log_in(client, "add_token", "view_token")
    form = client.get(url("add")).content.decode()
    assert f'value="{sample.add.name}"' in form
    assert "secret_hash" not in form
    response = client.post(url("add"), {"name": "billing", "job_names": [sample.add.name]})
    assert "no-store" in response["Cache-Control"]
    shown = re.search(r"djt_\w+\.[\w-]+", response.content.decode())
    assert shown
    found = find_token(shown[0])
    assert found is not None
    assert (found.name, found.job_names, found.created_by) == ("billing", [sample.add.name], "bo")
    assert LogEntry.objects.get().object_id == str(found.pk)
    secret = shown[0].partition(".")[2]
    for page in (url("changelist"), url("change", found.pk)):
        content = client.get(page).content.decode()
        assert found.key in content
        assert secret not in content
        assert found.secret_hash not in content


def test_a_token_for_metrics_needs_no_job(client: Client) -> None:
    log_in(client, "add_token", "view_token")
    client.post(url("add"), {"name": "monitoring", "reads_metrics": "on"})
    token = Token.objects.get()
    assert (token.job_names, token.reads_metrics) == ([], True)
    assert "May read metrics" in client.get(url("change", token.pk)).content.decode()


@pytest.mark.parametrize(
    "form",
    [
        {"name": "billing"},
        {"job_names": [sample.add.name]},
        {"name": "billing", "job_names": ["no.such"]},
        # A job of django_jobs itself can do what permissions guard.
        {"name": "billing", "job_names": [purge_jobs_matching.name]},
        # A mail may name a server, which is sent the login of the settings.
        {"name": "billing", "job_names": [SEND_MAIL]},
    ],
)
def test_a_token_without_a_name_or_with_unknown_jobs_is_refused(client: Client, form: dict[str, object]) -> None:
    log_in(client, "add_token", "view_token")
    assert b"errorlist" in client.post(url("add"), form).content
    assert not Token.objects.exists()


def test_creating_tokens_needs_the_permission(client: Client) -> None:
    log_in(client, "view_token", "revoke_token")
    assert client.get(url("add")).status_code == 403
    assert client.post(url("add"), {"name": "a", "job_names": [sample.add.name]}).status_code == 403


def test_a_token_is_revoked_by_the_button_once_and_that_is_logged(client: Client) -> None:
    log_in(client, "view_token", "revoke_token")
    token, _ = create_token("billing", job_names=["a"])
    page = url("change", token.pk)
    assert "Revoke" in client.get(page).content.decode()
    revoked = client.post(url("revoke", token.pk), follow=True).content.decode()
    assert "The token was revoked." in revoked
    assert "revoked by bo" in revoked
    assert "The token was already revoked." in client.post(url("revoke", token.pk), follow=True).content.decode()
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Revoked."]


def test_selected_tokens_are_revoked(client: Client) -> None:
    log_in(client, "view_token", "revoke_token")
    for name in ("a", "b"):
        create_token(name, job_names=["a"])
    chosen = {
        "action": "revoke_selected",
        "_selected_action": list(Token.objects.values_list("pk", flat=True)),
    }
    assert "2 tokens were revoked." in client.post(url("changelist"), chosen, follow=True).content.decode()
    assert not Token.objects.filter(revoked_at=None).exists()


def test_revoking_tokens_needs_the_permission(client: Client) -> None:
    log_in(client, "view_token", "add_token")
    token, _ = create_token("billing", job_names=["a"])
    assert "Revoke" not in client.get(url("change", token.pk)).content.decode()
    assert client.post(url("revoke", token.pk)).status_code == 403
    assert client.get(url("revoke", token.pk)).status_code == 404
    assert not Token.objects.get().is_revoked


def test_an_unknown_token_cannot_be_revoked(client: Client) -> None:
    log_in(client, "view_token", "revoke_token")
    assert client.post(url("revoke", 4711)).status_code == 404


def test_tokens_cannot_be_changed_or_deleted(admin_client: Client) -> None:
    token, _ = create_token("billing", job_names=["a"])
    admin_client.post(url("change", token.pk), {"name": "other", "job_names": ["b"]})
    assert admin_client.post(url("delete", token.pk)).status_code == 403
    assert Token.objects.get().name == "billing"
