"""The id of a Task's result, which applications keep and Django logs, finds its job in the admin and in a shell."""

from __future__ import annotations

from io import StringIO
from types import ModuleType

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from django_jobs import registry
from django_jobs.contrib.tasks.ids import job_id_of
from tests.admin.jobs.test_list import LIST, ids
from tests.admin.staff import url

pytestmark = pytest.mark.django_db


def _jobs(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", *arguments, stdout=out)
    return out.getvalue()


def test_the_search_of_the_admin_takes_the_id_of_a_result(tasks: ModuleType, admin_client: Client) -> None:
    _, wanted, _ = (tasks.add.enqueue(number) for number in range(3))
    assert ids(admin_client, {"q": wanted.id}) == [job_id_of(wanted.id)]
    other = f"{wanted.id[:-1]}{'0' if wanted.id[-1] != '0' else '1'}"
    assert ids(admin_client, {"q": other}) == []
    assert admin_client.get(url(LIST), {"q": wanted.id}).status_code == 200


def test_verbs_take_the_id_of_a_result(tasks: ModuleType) -> None:
    result = tasks.add.enqueue(1)
    assert tasks.add.module_path in _jobs("show", result.id)
    assert "1" in _jobs("cancel", result.id)
    result.refresh()
    assert result.status == "FAILED"


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "²", "00000000-0000-8000-8000-000000000000"])
def test_other_ids_are_refused_in_a_sentence(tasks: ModuleType, given: str) -> None:
    assert registry.find_job_id(given) is None
    with pytest.raises(CommandError, match=rf"expected the id of a job, .*; got '{given}'"):
        _jobs("show", "--", given)
