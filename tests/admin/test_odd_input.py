"""Odd input is answered with a message: every address and parameter of the admin and of ``django_jobs.web``.

Django's own parameters are sent to one list only, ours to every page that may read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from django_jobs.admin.site.filters import ParametersFilter
from django_jobs.policy.dead_letter_filter import QUERY_FIELDS
from django_jobs.policy.job_filter import PARAMETERS
from django_jobs.policy.states import State
from django_jobs.web.signing import sign_job_id
from django_jobs.web.tokens import create_token
from tests import factories
from tests.databases import ROOT
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)

NUL = "a\0b"
ODD = {
    "first year": "0001-01-01T00:00",
    "last year": quote("9999-12-31T23:59:59-14:00"),
    "huge": "9" * 40,
    "surrogate": quote('user_id={"\\ud800":"\\u0000"}'),
    "JSON": quote('["\\ud800",{"a":"\\u0000"}]'),
}
TYPED = {"state", "worker", "schedule", "batch", "since", "until", "argument", "q", "ids", "below", "up_to_id"}
DJANGO = ("o", "p", "all", "e", "_facets", "_popup", "_to_field", "_changelist_filters")
OURS = ("django_jobs", "django_jobs_web")


def lists() -> Iterator[tuple[str, set[str]]]:
    """Yield the address of each list, and its parameters."""
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label in OURS:
            names = {"q", "below"}
            for one in model_admin.list_filter:
                if isinstance(one, type) and issubclass(one, ParametersFilter):
                    names |= set(one.parameters)
                elif isinstance(one, str):
                    names |= {f"{one}__exact", f"{one}__isnull"}
            yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"), names


PAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "deadlettergroups": ((), ("status", "job_name", "queue_name", "below")),
    "job_replay": ((), PARAMETERS),
    "job_types": ((), ("period", "sort")),
    "job_type": ((), ("name", "period")),
    "job_type_enqueue": ((), ("name",)),
    "worker_kill": (("1",), ("job",)),
    "dashboard": ((), ("period",)),
    "dashboard_now": ((), ("period",)),
    "find": ((), ("q",)),
    "find_results": ((), ("q",)),
    "deadletter_bulk_start": (("redrive",), (*QUERY_FIELDS, "first")),
    "deadletter_export": (("csv",), (*QUERY_FIELDS, "status")),
}
"""Pages that are no lists and read parameters: the parts of the address, and the names."""


def test_every_parameter_that_a_page_reads_itself_is_among_those_below() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "django_jobs" / "admin").rglob("*.py"))
    found = set(re.findall(r"""GET(?:\.get\(|\[)"(\w+)""", sources))
    listed = {name for _, names in (*PAGES.values(), *lists()) for name in names}
    assert found - {"job__id__exact"} <= listed
    assert "period" in found


def rows() -> dict[str, Any]:
    """Return the values of the parts of addresses, each of a row that exists."""
    letter = factories.make_letter()
    assert letter.job is not None
    schedule = factories.make_schedule("nightly")
    return {
        "object_id": letter.pk, "pk": letter.pk, "key": "purge", "form": "csv", "name": "mail",
        "fingerprint": letter.fingerprint, "schedule": schedule.pk,
    }  # fmt: skip


def addresses(parts: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the address of each of our pages that is no list, and the names of its parts."""
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label in OURS:
            for pattern in model_admin.get_urls():
                name = getattr(pattern, "name", None)
                if name and not name.endswith("_changelist"):
                    names = tuple(pattern.pattern.converters)
                    yield reverse(f"admin:{name}", kwargs={part: parts[part] for part in names}), names


@pytest.fixture
def staff(admin_client: Client) -> Client:
    admin_client.raise_request_exception = False
    return admin_client


def check(response: Any, what: str) -> None:
    # 501: events need an ASGI server.
    assert response.status_code in {*range(200, 500), 501}, (what, getattr(response, "exc_info", None))


def test_odd_values_of_every_parameter_are_no_error(staff: Client) -> None:
    factories.make_jobs(2)
    for address, names in lists():
        # A wrong value of these answers before the others are read.
        refused = {name for name in names if name in TYPED or "__" in name}
        for what, value in ODD.items():
            for some in (names - refused, *({name} for name in refused)):
                query = "&".join(f"{name}={value}" for name in some)
                check(staff.get(f"{address}?{query}"), f"{address} {some}: {what}")


def test_odd_values_of_djangos_own_parameters_are_no_error(staff: Client) -> None:
    for name in DJANGO:
        for value in ("%ED%A0%80", "9" * 40, "-1", "x" * 10_240, '[{"a":1}]'):
            check(staff.get(f"{reverse('admin:django_jobs_job_changelist')}?{name}={value}"), f"{name}: {value}")


def test_odd_values_of_what_a_page_reads_itself_are_no_error(staff: Client) -> None:
    factories.make_worker(id=1)
    for page, (parts, names) in PAGES.items():
        for name in names:
            for what in ("last year", "huge", "surrogate"):
                address = f"{reverse(f'admin:django_jobs_{page}', args=parts)}?{name}={ODD[what]}&state=succeeded"
                check(staff.get(address), f"{page} {name}: {what}")


def test_a_parameter_that_comes_twice_or_is_very_long_is_no_error(staff: Client) -> None:
    for address, names in lists():
        check(staff.get(f"{address}?q={'x' * 10_240}"), address)
        query = urlencode([(name, value) for name in sorted(names) for value in ("1", "2")])
        check(staff.get(f"{address}?{query}"), address)


def test_a_nul_character_is_answered_with_a_message(staff: Client) -> None:
    for address, names in lists():
        for name in (min(names), NUL):
            response = staff.get(f"{address}?{quote(name)}=%00", follow=True)
            check(response, address)
            assert response.redirect_chain == [(address, 302)], address
    assert "the address or the form has a NUL character" in response.content.decode()


def test_odd_parts_of_addresses_are_no_error(staff: Client) -> None:
    parts = rows()
    for address, names in list(addresses(parts)):
        check(staff.post(address, {NUL: "1"}), address)
        for part in names:
            for odd in ("a%00b", "9" * 30, "%22%5Cud800%22"):
                changed = address.replace(f"/{quote(str(parts[part]))}/", f"/{odd}/", 1)
                check(staff.get(changed), changed)


@pytest.mark.parametrize("odd", ['"\\ud800"', '"\\u0000"', "1e999", "9" * 5_000, "[" * 5_000, "x" * 10_240, "-1"])
def test_odd_forms_are_no_error(staff: Client, odd: str) -> None:
    parts = rows()
    factories.make_queue("mail")
    job = sample.add.enqueue(1)
    forms = {
        reverse("admin:django_jobs_job_copy", args=[job.pk]): ("arguments", "queue", "priority", "run_after", "delay"),
        reverse("admin:django_jobs_deadletter_bulk_start", args=["redrive"]): (
            "first", "per_second", "delay", *QUERY_FIELDS,
        ),
        reverse("admin:django_jobs_queue_act", args=["mail", "max-running"]): ("max_running",),
        reverse("admin:django_jobs_deadletter_act", args=[parts["pk"], "note"]): ("note",),
        reverse("admin:django_jobs_cronschedule_add"): ("name", "job_name", "arguments", "cron", "every", "jitter"),
        **{address: ("action", "_selected_action", "select_across") for address, _ in lists()},
    }  # fmt: skip
    for address, names in forms.items():
        for name in names:
            chosen = {"action": "purge_selected", "_selected_action": odd}
            check(staff.post(address, {**chosen, name: odd}), f"{address} {name}")
    for value in ("0001-01-01T00:00", "9999-12-31T23:59"):
        check(staff.post(next(iter(forms)), {"run_after": value, "run_after_0": value[:10], "run_after_1": "0:00"}), "")


def test_odd_requests_of_the_status_pages_and_the_enqueue_are_no_error(client: Client) -> None:
    client.raise_request_exception = False
    job = factories.make_job(State.SUCCEEDED)
    key = sign_job_id(job.pk)
    _, token = create_token("shop", job_names=[sample.add.name])
    enqueue = reverse("django_jobs:enqueue", args=[sample.add.name])
    headers = {"Authorization": f"Bearer {token}"}
    for what, odd in {"NUL": "%00", "long": "x" * 10_240, **ODD}.items():
        for address in ("status", "result", "events"):
            path = reverse(f"django_jobs:{address}", args=[key])
            check(client.get(f"{path}?wait={odd}&x={odd}"), f"{address} {what}")
            check(client.get(path.replace(key, odd.replace("/", ""))), f"{address} {what}")
        check(client.post(f"/jobs/enqueue/{odd}/?x={odd}", headers=headers), what)
        for value in (odd, '{"first": "\\ud800"}', '{"\\u0000": 1}', f'{{"first": {"9" * 5_000}}}', "[" * 5_000):
            check(client.post(enqueue, value, content_type="application/json", headers=headers), what)
        wrong = {"Authorization": f"Bearer {odd}", "Idempotency-Key": odd, "If-None-Match": odd}
        check(client.post(enqueue, "{}", content_type="application/json", headers=wrong), what)
        check(client.get(f"/jobs/openapi.json?x={odd}"), what)
