"""Who may see a job: holders of its address, its owner, staff with permission, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings

from django_jobs.conf import SETTING
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.web import status_url
from django_jobs.web.status import status
from tests.admin.staff import log_in
from tests.factories import make_attempt, make_job, make_letter

pytestmark = pytest.mark.django_db


def owns(request: HttpRequest, job: Job) -> bool:
    """Say yes to whom the job's metadata names."""
    return job.metadata.get("owner") == request.user.get_username()


OWNERS = override_settings(**{SETTING: {"STATUS": {"ACCESS_CHECK": f"{__name__}.owns"}}})


def test_a_plain_id_gives_no_access_and_no_hint(client: Client) -> None:
    job = make_job(State.SUCCEEDED, result_data="secret")
    for number in (job.pk, job.pk + 1):
        for page in ("", "result/"):
            response = client.get(f"/jobs/{number}/{page}")
            assert response.status_code == 403
            assert response.json()["type"].endswith(":not-permitted")
            assert "django_jobs.view_job" in response.json()["detail"]


def test_staff_without_the_permission_see_nothing(client: Client) -> None:
    log_in(client, "cancel_job", "view_job_arguments")
    assert client.get(f"/jobs/{make_job().pk}/").status_code == 403


def test_staff_with_the_permission_see_the_state_and_not_the_result(client: Client) -> None:
    log_in(client, "view_job")
    job = make_job(State.SUCCEEDED, result_data="secret")
    body = client.get(f"/jobs/{job.pk}/").json()
    assert (body["state"], body["result"]) == ("succeeded", None)
    response = client.get(f"/jobs/{job.pk}/result/")
    assert response.status_code == 403
    assert "view_job_arguments" in response.json()["detail"]


def test_staff_with_both_permissions_see_the_result(client: Client) -> None:
    log_in(client, "view_job", "view_job_arguments")
    job = make_job(State.SUCCEEDED, result_data="secret")
    where = client.get(f"/jobs/{job.pk}/").json()["result"]
    assert client.get(where).json() == {"result": "secret"}


def test_staff_get_404_for_a_deleted_job(client: Client) -> None:
    log_in(client, "view_job")
    assert client.get("/jobs/4711/").json()["type"].endswith(":job-gone")


@OWNERS
def test_an_owner_sees_state_and_result_by_the_plain_id(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))
    own = make_job(State.SUCCEEDED, metadata={"owner": "ada"}, result_data="hers")
    other = make_job(State.SUCCEEDED, metadata={"owner": "bo"}, result_data="his")
    assert client.get(f"/jobs/{own.pk}/result/").json() == {"result": "hers"}
    for number in (other.pk, other.pk + 1):
        assert client.get(f"/jobs/{number}/result/").status_code == 403


def test_the_access_check_may_be_the_function_itself(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))
    job = make_job(metadata={"owner": "ada"})
    with override_settings(**{SETTING: {"STATUS": {"ACCESS_CHECK": owns}}}):
        assert client.get(f"/jobs/{job.pk}/").status_code == 200


def test_a_missing_access_check_is_an_error(client: Client) -> None:
    with (
        override_settings(**{SETTING: {"STATUS": {"ACCESS_CHECK": "shop.nowhere.owns"}}}),
        pytest.raises(ConfigurationError, match=r"ACCESS_CHECK.*shop\.nowhere\.owns"),
    ):
        client.get("/jobs/1/")


@pytest.mark.parametrize(
    ("permissions", "is_said"), [((), False), (("view_job",), False), (("view_job_arguments",), True)]
)
@pytest.mark.parametrize("state", [State.DEAD, State.CANCELLED])
def test_error_messages_need_the_permission(
    client: Client, permissions: tuple[str, ...], is_said: bool, state: State
) -> None:
    if permissions:
        log_in(client, *permissions)
    job = make_job(state)
    if state is State.DEAD:
        make_letter(job, error_message="disk 7 is full")
    else:
        make_attempt(job, outcome="cancelled", error_class="Cancelled", error_message="disk 7 is full")
    for headers in ({}, {"accept": "text/html"}):
        content = client.get(status_url(job), headers=headers).content.decode()
        assert ("disk 7 is full" in content) == is_said


def test_a_project_without_users_has_signed_addresses() -> None:
    job = make_job()
    request: Any = RequestFactory().get("/")
    assert not hasattr(request, "user")
    key = status_url(job).split("/")[2]
    from asgiref.sync import async_to_sync

    assert async_to_sync(status)(request, key).status_code == 200
    assert async_to_sync(status)(request, str(job.pk)).status_code == 403
