"""``manage.py jobs_token``: created and shown once, listed, revoked."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_jobs.web.models import Token
from django_jobs.web.tokens import find_token
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def _token(*arguments: str, as_json: bool = False) -> str:
    out = StringIO()
    call_command("jobs_token", *arguments, *(["--json"] if as_json else []), stdout=out)
    return out.getvalue()


def _json(*arguments: str) -> Any:
    return json.loads(_token(*arguments, as_json=True))


def test_a_token_is_created_and_shown_once() -> None:
    said = _token("create", "billing", "--job", sample.add.name, "--job", sample.echo.name)
    text, sentence = said.strip().splitlines()
    found = find_token(text)
    assert found is not None
    assert found.job_names == [sample.add.name, sample.echo.name]
    assert found.created_by.endswith("(shell)")
    assert "'billing'" in sentence
    assert text not in _token("list")
    assert found.key in _token("list")


def test_a_token_is_created_and_listed_as_json() -> None:
    made = _json("create", "billing", "--job", sample.add.name)
    assert find_token(made["token"]) is not None
    (listed,) = _json("list")
    assert listed.items() <= made.items()
    assert listed["last_used_at"] is None


def test_an_empty_list_says_so() -> None:
    assert _token("list") == "there is no token\n"


def test_a_token_is_revoked_once() -> None:
    _json("create", "billing", "--job", sample.add.name)
    key = Token.objects.get().key
    assert _token("revoke", key) == f"the token {key} is revoked\n"
    assert _token("revoke", key) == f"the token {key} was already revoked\n"
    assert _json("revoke", key) == {"revoked": None}
    assert Token.objects.get().is_revoked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "billing"), "--job"),
        (("create", "billing", "--job", "no.such"), "no job is named 'no.such'"),
        (("create", "x" * 101, "--job", sample.add.name), "expected 1 to 100 printable characters"),
        (("create", "", "--job", sample.add.name), "expected 1 to 100 printable characters"),
        (("revoke", "nobody"), "no token has the key 'nobody'"),
        ((), "VERB"),
    ],
)
def test_wrong_arguments_are_errors(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        _token(*arguments)
    assert not Token.objects.exists()


def test_a_token_may_read_metrics_alone_but_not_do_nothing() -> None:
    made = _json("create", "monitoring", "--metrics")
    assert (made["job_names"], made["reads_metrics"]) == ([], True)
    with pytest.raises(CommandError, match="--job NAME, --metrics, or both"):
        _token("create", "idle")
