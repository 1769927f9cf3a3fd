"""``JobsForObjectMixin``: from a row of the project to its jobs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import clear_url_caches, reverse

from django_jobs.admin import JobsForObjectMixin
from django_jobs.arguments.serialization import encode
from tests import factories
from tests.sampleapp.models import Customer, Document

pytestmark = pytest.mark.django_db(transaction=True)


class CustomerAdmin(JobsForObjectMixin, admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    jobs_argument = "customer_id"


class DocumentAdmin(JobsForObjectMixin, admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    change_form_template = "admin/change_form.html"


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    admin.site.register(Customer, CustomerAdmin)
    admin.site.register(Document, DocumentAdmin)
    read_urls()
    yield
    admin.site.unregister([Customer, Document])
    read_urls()


def read_urls() -> None:
    importlib.reload(importlib.import_module("testproject.test_urls"))
    clear_url_caches()


def address(row: Any, name: str = "jobs") -> str:
    return reverse(f"admin:sampleapp_{row._meta.model_name}_{name}", args=[row.pk])


def ids(client: Client, row: Any, **query: str) -> list[int]:
    page = client.get(address(row), query)
    assert page.status_code == 200
    return [int(pk) for pk in re.findall(r"/job/(\d+)/change/", page.content.decode())]


def test_the_page_lists_jobs_that_were_given_the_row_or_its_key(admin_client: Client) -> None:
    ada, paper = Customer.objects.create(name="ada"), Document.objects.create(title="x")
    by_key = factories.make_job(arguments={"customer_id": ada.pk})
    by_reference = factories.make_job(arguments={"many": [encode(ada, what="x")]})
    factories.make_job(arguments={"customer_id": ada.pk + 1})
    of_paper = factories.make_job(arguments={"document": encode(paper, what="x")})
    assert ids(admin_client, ada) == [by_reference.pk, by_key.pk]
    assert ids(admin_client, paper) == [of_paper.pk]


@pytest.mark.parametrize("model", [Customer, Document])
def test_the_change_page_links_it(admin_client: Client, model: Any) -> None:
    row = model.objects.create(**({"name": "ada"} if model is Customer else {"title": "x"}))
    page = admin_client.get(address(row, "change")).content.decode()
    assert f'<li><a href="{address(row)}">Jobs</a></li>' in page
    assert "historylink" in page
    assert admin_client.get(reverse(f"admin:sampleapp_{model._meta.model_name}_add")).status_code == 200


@pytest.mark.parametrize(
    ("permissions", "status", "is_linked"),
    [
        (["view_customer"], 403, False),
        (["view_job"], 403, False),
        (["view_customer", "view_job"], 200, True),
    ],
)
def test_both_view_permissions_are_needed(client: Client, permissions: list[str], status: int, is_linked: bool) -> None:
    user = User.objects.create_user("bo", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    row = Customer.objects.create(name="ada")
    assert client.get(address(row)).status_code == status
    assert (address(row) in client.get(address(row, "change")).content.decode()) is is_linked


def test_pages_follow_one_another(admin_client: Client) -> None:
    row = Customer.objects.create(name="<b>ada</b>")
    jobs = factories.make_jobs(60, arguments={"customer_id": row.pk})
    page = admin_client.get(address(row)).content.decode()
    assert "<b>ada</b>" not in page
    following = re.search(r'<a href="([^"]*)" rel="next"', page)
    assert following
    rest = admin_client.get(following[1]).content.decode()
    found = re.findall(r"/job/(\d+)/change/", page) + re.findall(r"/job/(\d+)/change/", rest)
    assert [int(pk) for pk in found] == [job.pk for job in jobs[::-1]]
    assert 'rel="next"' not in rest
    assert admin_client.get(address(row), {"below": "x"}).status_code == 302


def test_no_jobs_and_no_row_are_reported(admin_client: Client) -> None:
    row = Customer.objects.create(name="ada")
    assert "No jobs." in admin_client.get(address(row)).content.decode()
    row.delete()
    for odd in (4711, "a\0b", "9" * 30):
        assert admin_client.get(reverse("admin:sampleapp_customer_jobs", args=[odd])).status_code == 404


@pytest.mark.parametrize("number", [10, 60])
def test_a_page_takes_few_statements_at_any_size(
    admin_client: Client, number: int, django_assert_max_num_queries: Any
) -> None:
    row = Customer.objects.create(name="ada")
    factories.make_jobs(number, arguments={"customer_id": row.pk})
    with django_assert_max_num_queries(10):
        ids(admin_client, row)
