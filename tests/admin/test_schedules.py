"""Schedules in the admin: written, changed, paused, run and deleted by staff, each error at its field."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils.timezone import localtime

from django_jobs.arguments.serialization import encode
from django_jobs.models import CronSchedule, Job, Queue, Tick
from django_jobs.policy.states import State
from django_jobs.schedules import find_problem
from django_jobs.store.clock import database_now
from tests.admin.staff import log_in
from tests.factories import ago, make_job, make_schedule, make_tick
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "admin:django_jobs_cronschedule_add"
CHANGE = "admin:django_jobs_cronschedule_change"
LIST = "admin:django_jobs_cronschedule_changelist"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada", password="secret"))
    return client


def form(**fields: Any) -> dict[str, Any]:
    return {
        "name": "report",
        "job_name": "tests.sampleapp.jobs.digest",
        "arguments": '{"region": "us"}',
        "cron": "0 9 * * 1",
        "every": "",
        "timezone": "Europe/Berlin",
        "jitter": "0",
        "overlap": "skip",
        "catch_up": "latest",
        "catch_up_limit": "10",
        **fields,
    }


def test_a_schedule_is_written_and_shown_in_words_with_its_next_firings(staff: Client) -> None:
    assert staff.post(reverse(ADD), form()).status_code == 302
    row = CronSchedule.objects.get()
    assert (row.job_name, row.arguments, row.cron, row.timezone) == (
        "tests.sampleapp.jobs.digest",
        {"region": "us"},
        "0 9 * * 1",
        "Europe/Berlin",
    )
    assert (row.queue_name, row.max_attempts, row.is_from_code) == ("default", 5, False)
    assert row.next_due_at is not None
    assert row.next_due_at > database_now()
    page = staff.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert "At 09:00 on Monday" in page
    for instant in row.upcoming(database_now(), 5):
        assert f'title="{localtime(instant):%Y-%m-%d} 09:00:00.000' in page
    assert "At 09:00 on Monday" in staff.get(reverse(LIST)).content.decode()


def test_a_schedule_cannot_hand_any_row_of_the_project_to_its_job(staff: Client, settings: Any) -> None:
    settings.DJANGO_JOBS = {**settings.DJANGO_JOBS, "SCHEDULABLE": ["tests.sampleapp.jobs.greet"]}
    customer = Customer.objects.create(name="ada")
    given = {"job_name": "tests.sampleapp.jobs.greet"}
    for row in (User.objects.get(), Queue.objects.create(name="x")):
        text = json.dumps({"customer": encode(row, what="x")})
        answer = staff.post(reverse(ADD), form(**given, arguments=text))
        assert "expected sampleapp.customer" in answer.context["adminform"].form.errors["arguments"][0]
    text = json.dumps({"customer": encode(customer, what="x")})
    assert staff.post(reverse(ADD), form(**given, arguments=text)).status_code == 302
    row = CronSchedule.objects.get()
    row.arguments = {"customer": encode(User.objects.get(), what="x")}
    assert "may not be given here" in find_problem(row)


def test_only_jobs_that_opted_in_can_be_picked(staff: Client) -> None:
    page = staff.get(reverse(ADD)).content.decode()
    assert "tests.sampleapp.jobs.digest" in page
    assert "tests.sampleapp.jobs.echo" not in page
    answer = staff.post(reverse(ADD), form(job_name="tests.sampleapp.jobs.echo", arguments="{}"))
    assert "job_name" in answer.context["adminform"].form.errors
    assert not CronSchedule.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"cron": "61 * * * *"}, "cron", "minute: 61 is not 0-59"),
        ({"cron": "0 0 30 2 *"}, "cron", "fires some day"),
        ({"cron": ""}, "cron", "expected either cron or every, got neither"),
        ({"every": "10"}, "cron", "expected either cron or every, got both"),
        ({"cron": "", "every": "0.5"}, "every", "expected a period from 1 second"),
        ({"timezone": "Europe/Berln"}, "timezone", "Europe/Berln"),
        ({"jitter": "-1"}, "jitter", "expected from zero"),
        ({"arguments": "[1]"}, "arguments", "expected a JSON object"),
        ({"arguments": '{"colour": "red"}'}, "arguments", "colour"),
        ({"arguments": '{"region": 1' + "0" * 5_000 + "}"}, "arguments", "4300 digits"),
        ({"arguments": "[" * 20_000}, "arguments", "nested too deeply"),
        ({"arguments": "{'a': 1}"}, "arguments", "JSON"),
        ({"job_name": "os.system"}, "job_name", "os.system"),
        ({"name": ""}, "name", "required"),
        ({"name": "taken"}, "name", "already exists"),
        ({"catch_up": "all"}, "overlap", "'queue' or 'allow'"),
        ({"catch_up_limit": "0"}, "catch_up_limit", "from 1 to 1000"),
        ({"overlap": "perhaps"}, "overlap", "perhaps"),
    ],
)
def test_an_error_is_shown_at_its_field(staff: Client, fields: dict[str, Any], field: str, said: str) -> None:
    make_schedule("taken")
    answer = staff.post(reverse(ADD), form(**fields))
    assert answer.status_code == 200
    assert said in " ".join(answer.context["adminform"].form.errors[field])
    assert CronSchedule.objects.count() == 1


def test_a_change_keeps_the_history_and_does_not_fire_at_once(staff: Client) -> None:
    row = make_schedule("report", cron="@hourly")
    make_tick(row, due_at=ago(hours=1), outcome="skipped", reason="job 7 has not ended")
    assert staff.post(reverse(CHANGE, args=[row.pk]), form(cron="", every="0:10:00")).status_code == 302
    row.refresh_from_db()
    assert (row.cron, row.every, row.arguments) == ("", timedelta(minutes=10), {"region": "us"})
    assert row.next_due_at is not None
    assert row.next_due_at > database_now()
    page = staff.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert "job 7 has not ended" in page
    assert "Every 10 minutes" in page


def test_a_form_that_says_no_arguments_means_none(staff: Client) -> None:
    assert staff.post(reverse(ADD), form(arguments="")).status_code == 302
    assert CronSchedule.objects.get().arguments == {}


def test_what_code_defines_is_shown_and_not_changed(staff: Client) -> None:
    row = make_schedule("report", is_from_code=True, cron="@hourly")
    page = staff.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert 'name="cron"' not in page
    assert 'name="_save"' not in page
    assert ">Run now<" in page
    assert ">Pause<" in page
    staff.post(reverse(CHANGE, args=[row.pk]), form(cron="@daily"))
    assert (
        staff.post(reverse("admin:django_jobs_cronschedule_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    )
    row.refresh_from_db()
    assert row.cron == "@hourly"


def act(client: Client, row: CronSchedule, verb: str) -> str:
    answer = client.post(reverse("admin:django_jobs_cronschedule_act", args=[row.pk, verb]), follow=True)
    return answer.content.decode()


@pytest.mark.parametrize("is_from_code", [False, True])
def test_pause_resume_and_run_now(staff: Client, is_from_code: bool) -> None:
    row = make_schedule("report", is_from_code=is_from_code)
    assert "Report: paused" in act(staff, row, "pause")
    row.refresh_from_db()
    assert (row.paused_by, row.is_firing) == ("ada", False)
    page = act(staff, row, "run")
    assert f"Report: fired, job {Job.objects.get().pk}" in page
    assert "paused by ada" in page
    assert ">Resume<" in page
    assert "has not ended" in act(staff, row, "run")
    assert [row.requested_by for row in Tick.objects.all()] == ["ada", "ada"]
    assert "Report: resumed" in act(staff, row, "resume")
    assert "Report was not paused" in act(staff, row, "resume")
    row.refresh_from_db()
    assert row.is_firing


def test_the_same_from_the_list(staff: Client) -> None:
    rows = [make_schedule(name) for name in "abc"]
    for action in ("pause_selected", "run_selected", "resume_selected"):
        staff.post(reverse(LIST), {"action": action, "_selected_action": [row.pk for row in rows]})
    assert Job.objects.count() == 3
    assert CronSchedule.objects.filter(paused_at__isnull=True).count() == 3


def test_a_schedule_that_cannot_run_says_why(staff: Client) -> None:
    row = make_schedule("report", problem="job 'x' is not registered", next_due_at=None)
    assert "cannot be run: job &#x27;x&#x27; is not registered" in act(staff, row, "run")
    assert "broken: job &#x27;x&#x27;" in staff.get(reverse(LIST)).content.decode()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"every": timedelta(0)}, "every: expected a period from 1 second"),
        ({"every": timedelta(days=99_999_999)}, "every: expected a period from 1 second"),
        ({"jitter": timedelta(days=99_999_999)}, "jitter: expected from zero"),
        ({"cron": "0 0-H * * *"}, "0 0-H * * *"),
        ({"timezone": "Europe/Berln"}, "Europe/Berln"),
    ],
)
def test_a_broken_schedule_is_shown_and_not_resumed(staff: Client, fields: dict[str, Any], said: str) -> None:
    row = make_schedule("report", paused_at=database_now(), next_due_at=None, **fields)
    assert staff.get(reverse(LIST)).status_code == 200
    assert said in staff.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert said in act(staff, row, "resume")
    row.refresh_from_db()
    assert (row.status, row.is_firing) == ("paused", False)


def test_a_zone_that_is_none_stays_chosen_until_another_is(staff: Client) -> None:
    row = make_schedule("report", timezone="Europe/Berln")
    page = staff.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert '<option value="Europe/Berln" selected>' in page
    answer = staff.post(reverse(CHANGE, args=[row.pk]), form(timezone="Europe/Berln"))
    assert "Europe/Berln" in " ".join(answer.context["adminform"].form.errors["timezone"])


def test_a_viewer_changes_nothing(staff: Client, client: Client) -> None:
    row = make_schedule("report")
    viewer = User.objects.create_user("bo", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_cronschedule"))
    client.force_login(viewer)
    before = CronSchedule.objects.values().get()
    page = client.get(reverse(LIST)).content.decode()
    assert "run_selected" not in page
    assert "delete_selected" not in page
    for action in ("pause_selected", "run_selected", "resume_selected", "delete_selected"):
        client.post(reverse(LIST), {"action": action, "_selected_action": [row.pk], "post": "yes"})
    assert client.post(reverse(ADD), form(name="other")).status_code == 403
    assert client.post(reverse(CHANGE, args=[row.pk]), form()).status_code == 403
    delete = reverse("admin:django_jobs_cronschedule_delete", args=[row.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    for verb in ("run", "pause", "resume"):
        address = reverse("admin:django_jobs_cronschedule_act", args=[row.pk, verb])
        assert client.post(address).status_code == 403
    assert CronSchedule.objects.values().get() == before
    assert not Job.objects.exists()


def test_a_period_that_cannot_be_read_is_no_missing_one(staff: Client) -> None:
    errors = staff.post(reverse(ADD), form(cron="", every="often")).context["adminform"].form.errors
    assert list(errors) == ["every"]


def test_buttons_answer_posts_of_those_who_may_change_only(staff: Client, client: Client) -> None:
    row = make_schedule("report")
    assert staff.get(reverse("admin:django_jobs_cronschedule_act", args=[row.pk, "run"])).status_code == 404
    assert staff.post(reverse("admin:django_jobs_cronschedule_act", args=[row.pk, "drop"])).status_code == 404
    assert staff.post(reverse("admin:django_jobs_cronschedule_act", args=[0, "run"])).status_code in {
        302,
        404,
    }
    viewer = User.objects.create_user("bo", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_cronschedule"))
    client.force_login(viewer)
    assert client.post(reverse("admin:django_jobs_cronschedule_act", args=[row.pk, "run"])).status_code == 403
    assert ">Run now<" not in client.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert not Job.objects.exists()


def test_schedules_are_deleted_with_their_ticks_but_not_those_of_the_code(staff: Client) -> None:
    rows = [make_schedule("own"), make_schedule("code", is_from_code=True), make_schedule("other")]
    make_tick(rows[0])
    page = staff.get(reverse("admin:django_jobs_cronschedule_delete", args=[rows[0].pk]))
    assert page.status_code == 200
    staff.post(reverse("admin:django_jobs_cronschedule_delete", args=[rows[0].pk]), {"post": "yes"})
    staff.post(
        reverse(LIST),
        {"action": "delete_selected", "_selected_action": [row.pk for row in rows[1:]], "post": "yes"},
    )
    assert [row.name for row in CronSchedule.objects.all()] == ["code"]
    assert not Tick.objects.exists()


def test_ticks_are_listed_with_how_late_they_were_and_linked_to_their_jobs(staff: Client) -> None:
    row, other, job = make_schedule("report"), make_schedule("other"), make_job()
    make_tick(row, job=job, due_at=ago(seconds=2.5))
    make_tick(other, outcome="missed", reason="nobody was there")
    page = staff.get(reverse("admin:django_jobs_tick_changelist")).content.decode()
    assert reverse("admin:django_jobs_job_change", args=[job.pk]) in page
    assert "2.5" in page
    assert "nobody was there" in page
    only = staff.get(reverse("admin:django_jobs_tick_changelist"), {"schedule__id__exact": row.pk})
    assert "nobody was there" not in only.content.decode()
    assert staff.get(reverse("admin:django_jobs_tick_change", args=[Tick.objects.first().pk])).status_code == 200  # type: ignore[union-attr]  # there are two


def test_a_tick_whose_job_was_pruned_is_shown(staff: Client) -> None:
    make_tick(make_schedule("report"), job_id=4711)
    assert "4711" in staff.get(reverse("admin:django_jobs_tick_changelist")).content.decode()


def test_secrets_are_masked_for_users_who_cannot_change_them(client: Client) -> None:
    row = make_schedule("report", arguments={"region": "us", "api_key": "abc123"})
    code = make_schedule("code", arguments={"api_key": "abc123"}, is_from_code=True)
    viewer = User.objects.create_user("bo", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_cronschedule"))
    client.force_login(viewer)
    page = client.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert "us" in page
    assert "abc123" not in page
    client.force_login(User.objects.create_superuser("ada", password="secret"))
    assert "abc123" in client.get(reverse(CHANGE, args=[row.pk])).content.decode()
    assert "abc123" not in client.get(reverse(CHANGE, args=[code.pk])).content.decode()


def test_the_next_firings_are_shown_before_saving(staff: Client) -> None:
    page = staff.post(reverse(ADD), form(name="", _preview="1")).content.decode()
    assert not CronSchedule.objects.exists()
    assert "At 09:00 on Monday" in page
    assert page.count(" 09:00:00.000 CE") == 5
    assert 'value="0 9 * * 1"' in page
    assert "errornote" not in page
    row = make_schedule("report", cron="@hourly")
    page = staff.post(reverse(CHANGE, args=[row.pk]), form(cron="75 * * * *", _preview="1")).content.decode()
    assert "minute: 75 is not 0-59" in page
    assert "Every hour" not in page
    assert CronSchedule.objects.get().cron == "@hourly"


def test_a_script_gets_the_next_firings_of_what_is_typed(staff: Client, client: Client) -> None:
    address = reverse("admin:django_jobs_cronschedule_preview")
    shown = [
        staff.get(address, fields).json()["html"]
        for fields in (
            {"cron": "*/10 * * * *", "timezone": "Asia/Tokyo", "jitter": "90"},
            {"every": "0:10:00", "timezone": "UTC"},
            {"cron": "0 25 * * *", "timezone": "UTC"},
            {"cron": "0 9 * * *", "timezone": "Europe/Berln"},
            {"cron": "@daily", "every": "often"},
            {},
        )
    ]
    assert (shown[0].count("JST"), shown[0].count("Asia/Tokyo")) == (5, 5)
    assert "Each up to 1 min 30 s later." in shown[0]
    assert shown[1].count("<time") == 5
    assert "hour: 25 is not 0-23" in shown[2]
    assert "Europe/Berln" in shown[3]
    assert [text.count("<p>") for text in shown[4:]] == [1, 1]
    log_in(client, "view_job")
    assert client.get(address).status_code == 403


def test_a_new_schedule_begins_with_the_projects_zone(staff: Client, settings: Any) -> None:
    settings.TIME_ZONE = "America/Lima"
    assert '<option value="America/Lima" selected>' in staff.get(reverse(ADD)).content.decode()


def test_the_last_firings_are_shown_with_how_their_jobs_ended(
    staff: Client, django_assert_max_num_queries: Any
) -> None:
    row, silent = make_schedule("report"), make_schedule("silent")
    jobs = [make_job(state) for state in [State.DEAD, *[State.SUCCEEDED] * 23]]
    for number, job in enumerate(jobs, 2):
        make_tick(row, job=job, due_at=ago(hours=number))
    make_tick(row, due_at=ago(hours=1), outcome="skipped", reason="job 7 has not ended")
    make_tick(row, due_at=ago(hours=1, minutes=30), job_id=2**40)
    make_tick(silent, due_at=ago(days=70), outcome="missed")
    for number in range(20):
        make_schedule(f"other {number}")
    with django_assert_max_num_queries(20):
        page = staff.get(reverse(LIST)).content.decode()
    assert 'aria-label="Last 20 ticks: 17 succeeded, 1 dead, 1 job deleted, 1 skipped"' in page
    assert 'aria-label="Last 1 tick: 1 missed"' in page
    assert page.count("jobs-strip") == 2
    with django_assert_max_num_queries(20):
        page = staff.get(reverse(CHANGE, args=[row.pk])).content.decode()
    link = reverse("admin:django_jobs_job_change", args=[jobs[0].pk])
    assert f'<a href="{link}"><span class="job-state job-dead">dead</span></a>' in page
    assert "job 7 has not ended" in page
    last = page[page.index("field-last_firing") : page.index("field-ticks")]
    assert "job deleted" in last
    assert "(1 h 30 min ago)" in last
