"""Job types: the list, a type's page, and the form that enqueues one."""

from __future__ import annotations

import html
import json
from datetime import date, timedelta
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from django_jobs.arguments.serialization import loads
from django_jobs.models import Job, TypeRollup
from django_jobs.policy.histogram import bucket_of
from django_jobs.policy.rollup import span_start
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.stats.rollup import roll_up
from tests import factories

from .staff import log_in, url

pytestmark = pytest.mark.django_db(transaction=True)
TYPED = "tests.sampleapp.jobs.typed"


def add_types(hours_ago: int = 0, **types: tuple[int, int, float]) -> None:
    """Store (ended, failed, seconds of each) by type in one hour."""
    starts_at = span_start((database_now() - timedelta(hours=hours_ago)).timestamp(), 3600)
    TypeRollup.objects.create(
        span_seconds=3600,
        starts_at=starts_at,
        types={
            name.replace("__", "."): [
                ended - failed, failed, 0, ended * seconds, [1, ended], [bucket_of(seconds), ended],
            ]
            for name, (ended, failed, seconds) in types.items()
        },
    )  # fmt: skip


def type_address(name: str, **query: str) -> str:
    return f"{url('job_type')}?{urlencode({'name': name, **query})}"


def names(page: str) -> list[str]:
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    return [row.split("<bdi>")[1].split("</bdi>")[0] for row in body.split('<th scope="row">')[1:]]


def test_what_got_worse_than_yesterday_comes_first(admin_client: Client) -> None:
    add_types(shop__fine=(1000, 5, 0.1), shop__slow=(100, 0, 9.0), shop__fails=(400, 80, 1.0), shop__new=(7, 0, 1.0))
    add_types(24, shop__fine=(1000, 5, 0.1), shop__slow=(100, 0, 1.0), shop__fails=(400, 2, 1.0))

    page = admin_client.get(url("job_types")).content.decode()

    assert names(page)[:2] == ["shop.fails", "shop.slow"]
    assert "fails more" in page
    assert "0.5 % → 20 %" in page
    assert "slower" in page
    assert page.count("as before") == 1


@pytest.mark.parametrize(
    ("sort", "first"), [("-runs", "shop.many"), ("-total", "shop.long"), ("name", "shop.long"), ("-run", "shop.long")]
)
def test_the_columns_sort(admin_client: Client, sort: str, first: str) -> None:
    add_types(shop__many=(900, 0, 0.1), shop__long=(10, 0, 60.0))

    page = admin_client.get(url("job_types"), {"sort": sort, "period": "24h"}).content.decode()

    assert names(page)[0] == first
    assert f'aria-sort="{"descending" if sort.startswith("-") else "ascending"}"' in page


def test_a_list_of_more_than_fifty_types_has_pages_that_keep_period_and_order(admin_client: Client) -> None:
    add_types(**{f"shop__n{number:02}": (1 + number, 0, 0.1) for number in range(60)})
    kept = {"period": "24h", "sort": "-runs"}

    first = admin_client.get(url("job_types"), kept).content.decode()
    assert names(first) == [f"shop.n{number:02}" for number in range(59, 9, -1)]
    assert "1 to 50 of 60 types" in first
    following = html.unescape(first.partition('" rel="next"')[0].rpartition('href="')[2])
    second = admin_client.get(url("job_types") + following).content.decode()
    assert names(second) == [f"shop.n{number:02}" for number in range(9, -1, -1)]
    assert "51 to 60 of 60 types" in second
    assert 'rel="next"' not in second
    assert names(admin_client.get(url("job_types"), {**kept, "p": "nonsense"}).content.decode()) == names(first)


@pytest.mark.parametrize("period", ["1h", "24h", "7d", "nonsense"])
def test_each_period_counts_what_ended_in_it(admin_client: Client, period: str) -> None:
    factories.make_attempt(
        factories.make_job(name="shop.now"), outcome="succeeded", finished_at=factories.ago(minutes=2)
    )
    for _ in range(2):
        roll_up(min_age=timedelta(0))
    add_types(30, shop__old=(3, 0, 1.0))

    page = admin_client.get(url("job_types"), {"period": period, "sort": "-nonsense"}).content.decode()

    assert set(names(page)) == ({"shop.now", "shop.old"} if period == "7d" else {"shop.now"})


def test_300_types_take_few_statements(admin_client: Client) -> None:
    for hours in range(48):
        add_types(hours, **{f"shop__job_{number}": (10, number % 2, 0.5) for number in range(300)})
    for address in (url("job_types"), type_address("shop.job_7")):
        with CaptureQueriesContext(connection) as asked:
            assert admin_client.get(address).status_code == 200
        assert len(asked) <= 20, address


def test_a_types_page_has_what_belongs_to_it(admin_client: Client) -> None:
    add_types(**{TYPED.replace(".", "__"): (50, 5, 2.0)})
    dead = factories.make_job(State.DEAD, name=TYPED)
    factories.make_job(State.DEAD, name="another.type")
    factories.make_letter(dead, job_name=TYPED, error_class="shop.NoCard")
    roll_up(min_age=timedelta(0))
    factories.make_schedule("nightly typed", job_name=TYPED)

    page = admin_client.get(type_address(TYPED)).content.decode()

    assert f"#{dead.pk}" in page
    assert page.count('class="job-heat-5"') == 1
    for text in ("NoCard", "nightly typed", "Enqueue one", "12 %", "another.type"):
        assert (text in page) == (text != "another.type"), text
    assert (
        f"{type_address(TYPED)}".replace("&", "&amp;") in admin_client.get(url("job_change", dead.pk)).content.decode()
    )


@pytest.mark.parametrize(("language", "written"), [("en", "{day} {month}"), ("de", "{day}. "), ("fr", "{day} ")])
def test_days_of_the_heat_map_are_written_as_the_language_does(
    admin_client: Client, language: str, written: str
) -> None:
    starts_at = span_start(database_now().timestamp(), 86_400)
    TypeRollup.objects.create(
        span_seconds=86_400, starts_at=starts_at, types={"shop.pay": [5, 0, 0, 1.0, [1, 5], [9, 5]]}
    )
    with translation.override(language):
        page = admin_client.get(type_address("shop.pay", period="7d"), headers={"accept-language": language})
        heat = page.content.decode().partition("job-heat")[2]
    assert ">" + written.format(day=starts_at.day, month=f"{starts_at:%b}") in heat
    assert f"{starts_at:%d.%m.}" not in heat


def test_a_type_that_never_ran_and_is_unknown_says_so(admin_client: Client) -> None:
    page = admin_client.get(type_address("shop.gone</title>")).content.decode()
    assert "No job of this name is registered here." in page
    assert "</title>&" not in page
    assert admin_client.get(url("job_type")).status_code == 404


def test_control_characters_of_a_name_are_symbols_and_no_markup_gets_out(admin_client: Client) -> None:
    add_types(**{"shop__\x1b<i>odd": (3, 0, 1.0)})
    for address in (url("job_types"), type_address("shop.\x1b<i>odd")):
        page = admin_client.get(address).content.decode()
        assert "shop.\u241b&lt;i&gt;odd" in page
        assert "\x1b" not in page


def form_address(name: str = TYPED) -> str:
    return f"{url('job_type_enqueue')}?{urlencode({'name': name})}"


FILLED = {
    "argument-number": "7",
    "argument-text": "seven",
    "argument-flag": "0",
    "argument-size": "1",
    "argument-when": "2026-03-04",
    "argument-data": '{"a": [1]}',
    "queue_name": "default",
    "priority": "3",
}


def test_a_form_made_from_the_signature_enqueues_one(admin_client: Client) -> None:
    page = admin_client.get(form_address()).content.decode()
    assert 'type="number" name="argument-number"' in page
    assert '<select name="argument-size"' in page

    response = admin_client.post(form_address(), {**FILLED, "form_key": "once"})
    admin_client.post(form_address(), {**FILLED, "form_key": "once"})

    job = Job.objects.get()
    assert response.url == url("job_change", job.pk)
    assert (job.name, job.priority) == (TYPED, 3)
    assert job.arguments["number"] == 7
    assert job.arguments["flag"] is True
    assert (job.arguments["size"], job.arguments["data"]) == ("large", {"a": [1]})
    assert loads(json.dumps(job.arguments["when"])) == date(2026, 3, 4)
    assert "share" not in job.arguments, "an empty field leaves the default"
    assert LogEntry.objects.get().change_message == "Enqueued by hand."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"argument-number": "x"}, "Enter a whole number."),
        ({"argument-number": ""}, "This field is required."),
        ({"argument-when": "tomorrow"}, "Enter a valid date."),
        ({"argument-flag": ""}, "This field is required."),
        ({"argument-data": "{"}, "Enter a valid JSON."),
        ({"argument-data": '{"$type": "nothing"}'}, "nothing"),
        ({"argument-options": "[1]"}, "Enter JSON such as"),
        ({"queue_name": "a,b"}, "without commas"),
        ({"priority": "900"}, "less than or equal to 100"),
    ],
)
def test_wrong_input_is_said_at_the_form(admin_client: Client, changed: dict[str, str], said: str) -> None:
    response = admin_client.post(form_address(), {**FILLED, **changed})
    assert response.status_code == 200
    assert said in response.content.decode()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("permissions", "page", "form"),
    [
        (("view_job",), 200, 403),
        (("enqueue_new_job",), 403, 403),
        (("view_job", "enqueue_job"), 200, 403),
        (("view_job", "enqueue_new_job"), 200, 302),
        (("view_worker",), 403, 403),
    ],
)
def test_who_may_see_types_and_enqueue_one(client: Client, permissions: tuple[str, ...], page: int, form: int) -> None:
    log_in(client, *permissions)
    assert client.get(url("job_types")).status_code == page
    shown = client.get(type_address(TYPED))
    assert shown.status_code == page
    assert client.post(form_address(), FILLED).status_code == form
    if page == 200:
        assert ("Enqueue one" in shown.content.decode()) == (form == 302)


def test_without_a_registered_job_there_is_no_form(admin_client: Client) -> None:
    response = admin_client.get(form_address("shop.gone"), follow=True)
    assert "there is no signature to make a form from" in response.content.decode()


def test_a_job_of_the_engine_is_enqueued_by_no_form(client: Client) -> None:
    """Its arguments may purge what the user may not."""
    name = "django_jobs.purge_jobs_matching"
    log_in(client, "view_job", "enqueue_new_job")
    assert "Enqueue one" not in client.get(url("job_type"), {"name": name}).content.decode()
    address = f"{url('job_type_enqueue')}?name={name}"
    page = client.post(
        address, {"argument-jobs": '{"name": "shop.pay"}', "queue_name": "default", "priority": "0"}, follow=True
    )
    assert f"Nothing was enqueued: {name} is a job of django_jobs itself." in page.content.decode()
    assert not Job.objects.exists()
