"""Secrets are masked wherever a job is shown, and staff need permission to view or act."""

from __future__ import annotations

import json
import logging
import sys
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.debug import ExceptionReporter

from django_jobs import job
from django_jobs.exceptions import ConfigurationError
from django_jobs.limits import RateLimit
from django_jobs.models import Attempt, DeadLetter, Job
from django_jobs.policy.redact import MASK
from django_jobs.policy.states import State
from django_jobs.testing import drain
from django_jobs.web import status_url
from tests import factories
from tests.admin.staff import INDEX, url
from tests.misbehaving import jobs as misbehaving

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "4929-1234-5678"


@job(redact=("card",), rate_limit=RateLimit(10, key=lambda *, card: card))
def limited_charge(card: str) -> None:
    """Have a limit whose key a function makes of a secret."""


def _login(client: Client, *permissions: str) -> None:
    user = User.objects.create_user("bo", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client.force_login(user)


def _charged() -> Job:
    charged = misbehaving.charge_card.using(metadata={"api_token": SECRET}).enqueue(
        7, card=SECRET, headers={"Authorization": SECRET}
    )
    drain()
    return charged.refresh()


def test_the_admin_masks_secrets(admin_client: Client) -> None:
    charged = _charged()
    page = admin_client.get(reverse("admin:django_jobs_job_change", args=[charged.pk])).content.decode()
    assert charged.state == "dead"
    assert "&quot;order_id&quot;: 7" in page
    assert page.count(MASK) == 3
    assert SECRET not in page
    dead_letter = DeadLetter.objects.get(job=charged.pk)
    page = admin_client.get(reverse("admin:django_jobs_deadletter_change", args=[dead_letter.pk])).content.decode()
    assert SECRET not in page


def test_the_shell_masks_secrets() -> None:
    charged = _charged()
    for arguments in (["show", str(charged.pk)], ["show", str(charged.pk), "--json"], ["list", "--json"]):
        out = StringIO()
        call_command("jobs", *arguments, stdout=out)
        assert SECRET not in out.getvalue()
    out = StringIO()
    call_command("jobs", "show", str(charged.pk), "--json", stdout=out)
    assert json.loads(out.getvalue())["arguments"] == {
        "order_id": 7,
        "card": MASK,
        "headers": {"Authorization": MASK},
    }


def test_logs_and_stored_errors_have_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        _charged()
    stored = Attempt.objects.get()
    assert stored.error_message == "the card was refused"
    assert SECRET not in stored.traceback
    assert SECRET not in "".join(str(record.__dict__) for record in caplog.records)


def test_an_error_mail_masks_the_locals_of_a_redacted_argument() -> None:
    try:
        misbehaving.charge_card(7, card=SECRET, headers={})
    except ValueError:
        report = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info()).get_traceback_html()
    else:
        pytest.fail("the job did not raise")
    assert "order_id" in report
    assert SECRET not in report


def test_a_redacted_name_that_is_no_argument_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"redact: expected arguments of \(order_id: 'int'\), got cart"):

        @job(redact=("cart",))
        def charge(order_id: int) -> None: ...


@pytest.mark.parametrize("names", ["card", 7, [7], [""]])
def test_redact_takes_names(names: Any) -> None:
    with pytest.raises(ConfigurationError, match="redact: expected a tuple of names of arguments, got "):
        job(redact=names)


PAGES = ["job", "deadletter", "queue", "worker"]


@pytest.mark.parametrize("model", PAGES)
def test_staff_without_the_permission_see_nothing(client: Client, model: str) -> None:
    _login(client)
    dead_letter = factories.make_letter()
    row = {"queue": factories.make_queue, "worker": factories.make_worker}.get(model)
    pk = row("mail").pk if model == "queue" and row else (dead_letter.job_id if model == "job" else dead_letter.pk)
    assert client.get(reverse(f"admin:django_jobs_{model}_changelist")).status_code == 403
    assert client.get(reverse(f"admin:django_jobs_{model}_change", args=[pk])).status_code in {302, 403}


@pytest.mark.parametrize(
    ("model", "action"),
    [
        ("job", "retry_selected"),
        ("job", "cancel_selected"),
        ("job", "purge_selected"),
        ("deadletter", "redrive_selected"),
        ("deadletter", "purge_selected"),
        ("queue", "pause_selected"),
    ],
)
def test_a_viewer_can_change_nothing(client: Client, model: str, action: str) -> None:
    _login(client, f"view_{model}")
    dead_letter = factories.make_letter()
    assert dead_letter.job is not None
    waiting = factories.make_job()
    queue = factories.make_queue("mail")
    chosen = {"job": [dead_letter.job.pk, waiting.pk], "deadletter": [dead_letter.pk], "queue": [queue.pk]}[model]
    url = reverse(f"admin:django_jobs_{model}_changelist")
    assert action not in client.get(url).content.decode()

    client.post(url, {"action": action, "_selected_action": chosen})

    assert Job.objects.filter(state=State.DEAD).count() == 1
    assert waiting.refresh().state == "ready"
    assert DeadLetter.objects.get().status == "open"
    queue.refresh_from_db()
    assert not queue.is_paused


@pytest.fixture
def code_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process after the job's code was deleted."""
    monkeypatch.setattr("django_jobs.registry._definitions", {})


def test_no_value_is_shown_once_the_code_is_gone(client: Client, code_is_gone: None) -> None:
    """Which of them are secret was in the code."""
    done = factories.make_job(
        State.SUCCEEDED,
        name="shop.charge",
        arguments={"card": SECRET, "headers": {SECRET: 1}, SECRET: 7, "*": [SECRET]},
        metadata={"who": SECRET},
        result_data={"number": SECRET},
    )
    schedule = factories.make_schedule(job_name="shop.charge", arguments={"card": SECRET})
    limit = factories.make_limit(RateLimit(10), name="shop.charge", key=SECRET)
    _login(client, "view_job", "view_job_arguments", "view_cronschedule", "view_limit")
    pages = [
        url("job_change", done.pk),
        url("job_text", done.pk, "arguments"),
        url("job_text", done.pk, "metadata"),
        url("job_text", done.pk, "result"),
        url("cronschedule_change", schedule.pk),
        url("limit_changelist"),
        url("limit_change", limit.pk),
    ]
    for address in pages:
        response = client.get(address)
        assert response.status_code == 200
        assert SECRET not in response.content.decode(), address
    for arguments in (["show", str(done.pk)], ["show", str(done.pk), "--json"], ["list", "--json"]):
        out = StringIO()
        call_command("jobs", *arguments, stdout=out)
        assert SECRET not in out.getvalue()
    out = StringIO()
    call_command("jobs", "schedules", "--json", stdout=out)
    assert SECRET not in out.getvalue()


def test_no_result_is_answered_once_the_code_is_gone(client: Client, code_is_gone: None) -> None:
    done = factories.make_job(State.SUCCEEDED, name="shop.charge", result_data={"card": SECRET})
    response = client.get(f"{status_url(done)}result/")
    assert response.status_code == 403
    assert SECRET not in response.content.decode()
    assert client.get(status_url(done)).json()["result"] is None


def test_an_argument_that_the_job_has_lost_is_masked(admin_client: Client) -> None:
    """Its mask went with it, when it was renamed."""
    old = factories.make_job(name=misbehaving.charge_card.name, arguments={"order_id": 7, "pan": SECRET})
    page = admin_client.get(url("job_change", old.pk)).content.decode()
    assert "&quot;order_id&quot;: 7" in page
    assert SECRET not in page


def test_a_key_made_by_a_function_of_secrets_is_masked(admin_client: Client) -> None:
    limit = factories.make_limit(RateLimit(10), name=limited_charge.name, key=SECRET)
    assert SECRET not in admin_client.get(url("limit_change", limit.pk)).content.decode()


def test_messages_of_progress_are_for_who_may_see_arguments(client: Client) -> None:
    fields: dict[str, Any] = {"progress_done": 3, "progress_message": f"card {SECRET}"}
    job = factories.make_job(State.RUNNING, progress_total=9, **fields)
    uncounted = factories.make_job(State.RUNNING, **fields)
    pages = [url("job_changelist"), url("job_change", job.pk), url("job_change", uncounted.pk), INDEX]
    _login(client, "view_job")
    assert not [address for address in pages if SECRET in client.get(address).content.decode()]
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_job_arguments"))
    assert [SECRET in client.get(address).content.decode() for address in pages] == [True, True, True, False]
