"""Enqueue a copy: edited arguments, errors at their field, secrets kept behind their masks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from django_jobs.arguments.serialization import encode
from django_jobs.builtin_jobs import purge_jobs_matching
from django_jobs.models import Job
from django_jobs.policy.redact import MASK
from django_jobs.policy.states import State
from tests import factories
from tests.admin.staff import log_in, url
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


def form(arguments: Any, **fields: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"arguments": text, "queue_name": "default", "priority": "0", **fields}


def test_a_form_submitted_twice_makes_one_copy_even_if_the_first_was_refused(
    admin_client: Client,
) -> None:
    job = sample.add.enqueue(1, 2)
    page = admin_client.get(url("job_copy", job.pk)).content.decode()
    (press,) = re.findall(r'name="form_key" value="([\w-]{20,})"', page)
    wrong = admin_client.post(url("job_copy", job.pk), {**form({"first": "x", "third": 1}), "form_key": press})
    assert press in wrong.content.decode()

    answers = [
        admin_client.post(url("job_copy", job.pk), {**form({"first": 2, "second": 5}), "form_key": press})
        for _ in range(2)
    ]

    copy = Job.objects.exclude(pk=job.pk).get()
    assert [answer.headers["Location"] for answer in answers] == [url("job_change", copy.pk)] * 2
    assert LogEntry.objects.count() == 1
    admin_client.post(url("job_copy", job.pk), {**form({"first": 2, "second": 5}), "form_key": "another-page"})
    assert Job.objects.count() == 3


def test_hooks_add_what_the_original_lacked(admin_client: Client, settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": ["tests.sampleapp.hooks.Stamp"]}
    for metadata, expected in [({"x": 1}, {"x": 1, "stamp": sample.add.name}), ({"stamp": "old"}, {"stamp": "old"})]:
        job = factories.make_job(State.SUCCEEDED, name=sample.add.name, metadata=metadata)
        admin_client.post(url("job_copy", job.pk), form({"first": 2}))
        assert Job.objects.latest("pk").metadata == {**expected, "copy_of": job.pk}


def test_a_copy_has_the_forms_values_and_links_its_original(admin_client: Client) -> None:
    job = factories.make_job(
        State.SUCCEEDED, name=sample.add.name, arguments={"first": 1}, max_attempts=3, metadata={"x": 1}
    )
    page = admin_client.get(url("job_copy", job.pk)).content.decode()
    assert "&quot;first&quot;: 1" in page
    assert "(first: &#x27;int&#x27;, second: &#x27;int&#x27; = 0)" in page
    posted = form({"second": 5, "first": 2}, queue_name="slow", priority="7")
    page = admin_client.post(url("job_copy", job.pk), posted, follow=True).content.decode()
    copy = Job.objects.latest("pk")
    assert (copy.name, copy.arguments) == (sample.add.name, {"first": 2, "second": 5})
    assert (copy.queue_name, copy.priority, copy.max_attempts) == ("slow", 7, 3)
    assert (copy.state, copy.metadata) == ("ready", {"x": 1, "copy_of": job.pk})
    assert f"Job {copy.pk} enqueued as a copy of job {job.pk}." in page
    assert url("job_change", job.pk) in page
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.is_addition()) == (str(copy.pk), True)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        (form("{"), "arguments", "valid JSON"),
        (form("[1]"), "arguments", "Enter a JSON object"),
        (form("7"), "arguments", "Enter a JSON object"),
        (form(""), "arguments", "required"),
        (form({}), "arguments", "missing a required argument"),
        (form({"first": 1, "third": 2}), "arguments", "third"),
        (form({"first": {"$type": "odd"}}), "arguments", "unknown tag"),
        (form({"first": {"$type": "datetime", "value": "x"}}), "arguments", "cannot be read"),
        (form({"first": MASK}), "arguments", "keeps a secret only if"),
        (form('{"first": NaN}'), "arguments", "cannot carry nan"),
        (form("[" * 20_000), "arguments", "nested too deeply"),
        (form('{"first": 1' + "0" * 5_000 + "}"), "arguments", "4300 digits"),
        (form('{"first": ' + "[" * 60 + "]" * 60 + "}"), "arguments", "levels deep"),
        (form({"first": 1}, queue_name="a,b"), "queue_name", "without commas"),
        (form({"first": 1}, queue_name="x" * 101), "queue_name", "at most 100"),
        (form({"first": 1}, priority="101"), "priority", "less than or equal to 100"),
        (form({"first": 1}, priority="x"), "priority", "whole number"),
    ],
)
def test_an_error_is_shown_at_its_field(admin_client: Client, fields: dict[str, Any], field: str, said: str) -> None:
    job = factories.make_job(State.SUCCEEDED, name=sample.add.name, arguments={"first": 1})
    answer = admin_client.post(url("job_copy", job.pk), fields)
    assert answer.status_code == 200
    assert said in " ".join(answer.context["form"].errors[field])
    assert Job.objects.count() == 1


def test_texts_that_the_database_refuses_are_stored_under_a_tag(admin_client: Client) -> None:
    job = factories.make_job(State.SUCCEEDED, name=sample.echo.name, arguments={})
    admin_client.post(url("job_copy", job.pk), form('{"value": "a\\u0000b"}'))
    assert Job.objects.latest("pk").arguments["value"]["$type"] == "text"


def test_references_to_rows_are_kept(admin_client: Client) -> None:
    ada = Customer.objects.create(name="ada")
    stored = {"customer": encode(ada, what="x")}
    job = factories.make_job(State.DEAD, name=sample.greet.name, arguments=stored)
    admin_client.post(url("job_copy", job.pk), form(stored))
    assert Job.objects.latest("pk").arguments == stored


def test_a_row_that_is_gone_is_said_to_be_so(admin_client: Client) -> None:
    job = factories.make_job(State.DEAD, name=sample.greet.name, arguments={"customer": 1})
    gone = {"customer": {"$type": "model", "model": "sampleapp.customer", "pk": 4711, "using": "default"}}
    answer = admin_client.post(url("job_copy", job.pk), form(gone))
    assert "no longer exists" in " ".join(answer.context["form"].errors["arguments"])


@pytest.mark.parametrize("is_original", [False, True])
def test_only_rows_of_a_model_that_the_original_has_can_be_given_to_a_job_without_annotations(
    admin_client: Client, admin_user: User, is_original: bool
) -> None:
    ada, bob = Customer.objects.create(name="ada"), Customer.objects.create(name="bob")
    stored = {"value": encode(ada if is_original else 7, what="x")}
    job = factories.make_job(State.DEAD, name=sample.echo.name, arguments=stored)
    for row, is_taken in ((bob, is_original), (admin_user, False)):
        answer = admin_client.post(url("job_copy", job.pk), form({"value": [{"deep": encode(row, what="x")}]}))
        assert (answer.status_code == 302) == is_taken
        if not is_taken:
            assert "may not be given here: expected no model" in " ".join(answer.context["form"].errors["arguments"])
    assert Job.objects.count() == 1 + is_original


def charged() -> Job:
    return factories.make_job(
        State.DEAD,
        name=misbehaving.charge_card.name,
        arguments={"order_id": 7, "card": "4929", "headers": {"token": "t", "via": "web"}},
    )


def test_a_mask_left_alone_keeps_its_secret_and_another_value_replaces_it(client: Client) -> None:
    log_in(client, "view_job", "enqueue_job", "view_job_arguments")
    job = charged()
    page = client.get(url("job_copy", job.pk)).content.decode()
    assert "4929" not in page
    assert page.count(MASK) == 2
    masked = {"order_id": 8, "card": MASK, "headers": {"token": MASK, "via": "mail"}}
    client.post(url("job_copy", job.pk), form(masked))
    assert Job.objects.latest("pk").arguments == {
        "order_id": 8,
        "card": "4929",
        "headers": {"token": "t", "via": "mail"},
    }
    client.post(url("job_copy", job.pk), form({**masked, "card": "5000"}))
    assert Job.objects.latest("pk").arguments["card"] == "5000"
    answer = client.post(url("job_copy", job.pk), form({**masked, "headers": {"cookie": MASK}}))
    assert "keeps a secret only if" in " ".join(answer.context["form"].errors["arguments"])


@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        (("view_job",), 403),
        (("view_job", "view_job_arguments"), 403),
        (("view_job", "enqueue_job"), 403),
        (("enqueue_job", "view_job_arguments"), 403),
        (("view_job", "enqueue_job", "view_job_arguments"), 302),
    ],
)
def test_copies_with_secrets_need_the_permission_to_see_them(
    client: Client, permissions: tuple[str, ...], status: int
) -> None:
    log_in(client, *permissions)
    job = charged()
    if status == 403:
        assert client.get(url("job_copy", job.pk)).status_code == 403
    posted = form({"order_id": 7, "card": "1", "headers": {}})
    assert client.post(url("job_copy", job.pk), posted).status_code == status
    assert Job.objects.count() == (2 if status == 302 else 1)


def test_who_may_not_see_arguments_enqueues_the_job_as_it_is(client: Client) -> None:
    log_in(client, "view_job", "enqueue_job")
    job = factories.make_job(State.SUCCEEDED, name=sample.add.name, arguments={"first": 4711})
    page = client.get(url("job_copy", job.pk)).content.decode()
    assert "4711" not in page
    assert "<textarea" not in page
    client.post(url("job_copy", job.pk), form({"first": 2}))
    assert Job.objects.latest("pk").arguments == {"first": 4711}


def test_a_job_that_no_code_here_knows_is_enqueued_as_it_is(admin_client: Client) -> None:
    job = factories.make_job(State.DEAD, name="gone.jobs.pay", arguments={"n": 1})
    assert "No job of this name is registered here" in admin_client.get(url("job_copy", job.pk)).content.decode()
    admin_client.post(url("job_copy", job.pk))
    copy = Job.objects.latest("pk")
    assert (copy.name, copy.arguments, copy.metadata) == ("gone.jobs.pay", {"n": 1}, {"copy_of": job.pk})


def test_arguments_that_are_too_large_are_refused_at_their_field(admin_client: Client, settings: Any) -> None:
    settings.DJANGO_JOBS = {"ENQUEUE": {"MAX_PAYLOAD_BYTES": 100}}
    job = factories.make_job(State.SUCCEEDED, name=sample.echo.name, arguments={})
    answer = admin_client.post(url("job_copy", job.pk), form({"value": "x" * 200}))
    assert "MAX_PAYLOAD_BYTES" in " ".join(answer.context["form"].errors["arguments"])


def test_a_copy_of_a_unique_job_that_waits_already_is_none(admin_client: Client) -> None:
    job = sample.sync.enqueue(7)
    page = admin_client.post(url("job_copy", job.pk), form({"user_id": 7}), follow=True).content.decode()
    assert f"No copy was enqueued: the job is unique and job {job.pk} is already waiting." in page
    assert Job.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_a_job_of_the_engine_is_not_copied(client: Client) -> None:
    """Its arguments may purge what the user may not."""
    job = purge_jobs_matching.enqueue({"name": "shop.pay"})
    log_in(client, "view_job", "view_job_arguments", "enqueue_job")
    assert url("job_copy", job.pk) not in client.get(url("job_change", job.pk)).content.decode()
    page = client.post(url("job_copy", job.pk), form({"jobs": {}}), follow=True).content.decode()
    assert "is a job of django_jobs itself" in page
    client.post(url("job_changelist"), {"action": "copy_selected", "_selected_action": job.pk})
    assert Job.objects.count() == 1
