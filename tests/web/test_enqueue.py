"""Enqueue over HTTP with a token: what is accepted, and each way in which it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client, override_settings

from django_jobs.conf import SETTING
from django_jobs.models import Job
from django_jobs.testing import drain
from django_jobs.web.models import Token
from django_jobs.web.tokens import create_token, revoke_token
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db
ADD, RECORD, GREET = sample.add.name, sample.record.name, sample.greet.name
ALLOWED = (ADD, RECORD, GREET, sample.charge.name, sample.echo.name, "gone.job", "a b/\u00fc?")


@pytest.fixture
def token() -> str:
    return create_token("billing", job_names=ALLOWED)[1]


def _post(token: str | None, name: str, body: Any, *, client: Client | None = None, **headers: str) -> Any:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return (client or Client(enforce_csrf_checks=True)).post(
        f"/jobs/enqueue/{name}/",
        content,
        content_type=headers.pop("type", "application/json"),
        headers=headers,
    )


def _problem(response: Any) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    assert not Job.objects.exists()
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["type"].rpartition(":")[2]


def test_a_job_is_enqueued_and_can_be_followed(token: str, client: Client) -> None:
    response = _post(token, ADD, {"first": 1, "second": 2})
    assert (response.status_code, response["Retry-After"]) == (202, "1")
    where = response["Location"]
    assert client.get(where).json()["state"] == "ready"
    drain()
    assert client.get(f"{where}result/").json() == {"result": 3}


def test_hooks_add_to_its_metadata(token: str, settings: Any) -> None:
    settings.DJANGO_JOBS = {"HOOKS": ["tests.sampleapp.hooks.Stamp"]}
    _post(token, ADD, {"first": 1})
    assert sorted(Job.objects.get().metadata) == ["enqueued_by", "stamp"]


def test_the_job_names_its_token_and_the_token_its_last_use(token: str) -> None:
    _post(token, ADD, {"first": 1})
    used = Token.objects.get()
    assert used.last_used_at is not None
    assert Job.objects.get().metadata == {"enqueued_by": f"billing ({used.key})"}


def test_arguments_are_parsed_by_the_signature(token: str) -> None:
    arguments = {
        "user": 7,
        "at": "2026-01-02T03:04:05+00:00",
        "amount": "1.20",
        "*": ["a", "b"],
        "kind": "refund",
        "until": "2026-01-03",
        "is_paid": True,
        "weight": 2,
    }
    assert _post(token, RECORD, arguments).status_code == 202
    drain()
    assert Job.objects.get().result == (
        "7 2026-01-02T03:04:05+00:00 1.20 ('a', 'b') refund None 2026-01-03 True ['weight']"
    )


def test_a_row_is_given_by_its_primary_key(token: str) -> None:
    customer = Customer.objects.create(name="Ada")
    assert _post(token, GREET, {"customer": customer.pk}).status_code == 202
    drain()
    assert Job.objects.get().result == "Hello Ada"


def test_tags_of_the_engine_are_plain_keys(token: str) -> None:
    tagged = {"$type": "model", "model": "auth.user", "pk": 1, "using": "default"}
    assert _post(token, sample.echo.name, {"value": tagged}).status_code == 202
    drain()
    assert Job.objects.get().result == tagged


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        (None, "no-token"),
        ("Basic YTpi", "no-token"),
        ("Bearer", "wrong-token"),
        ("Bearer nonsense", "wrong-token"),
        ("Bearer djt_abcdefghijkl.wrong", "wrong-token"),
    ],
)
def test_without_a_valid_token_nothing_is_enqueued(given: str | None, slug: str) -> None:
    headers = {} if given is None else {"authorization": given}
    response = _post(None, ADD, {"first": 1}, **headers)
    assert _problem(response) == (401, slug)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_session_does_not_replace_a_token(admin_client: Client) -> None:
    assert _problem(_post(None, ADD, {"first": 1}, client=admin_client)) == (401, "no-token")


def test_a_revoked_token_is_refused(token: str) -> None:
    revoke_token(Token.objects.get().key)
    assert _problem(_post(token, ADD, {"first": 1})) == (401, "token-revoked")


@pytest.mark.parametrize("name", [sample.fail.name, "no.such.job"])
def test_a_token_does_not_reveal_jobs_that_it_does_not_allow(token: str, name: str) -> None:
    response = _post(token, name, {})
    assert _problem(response) == (403, "job-not-allowed")
    assert "insufficient_scope" in response["WWW-Authenticate"]


@pytest.mark.parametrize("name", ["gone.job", "a%20b%2F%C3%BC%3F"])
def test_a_job_that_is_not_registered_is_unknown(token: str, name: str) -> None:
    assert _problem(_post(token, name, {})) == (404, "job-unknown")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_wrong_content_type_is_refused(token: str, kind: str) -> None:
    response = _post(token, ADD, '{"first": 1}', type=kind)
    assert _problem(response) == (415, "wrong-content-type")
    assert response["Accept"] == "application/json"


def test_a_charset_in_the_content_type_is_accepted(token: str) -> None:
    assert _post(token, ADD, {"first": 1}, type="application/json; charset=utf-8").status_code == 202


NO_OBJECTS = [
    b" ",
    b"{",
    b"[1]",
    b"7",
    b'"text"',
    b"null",
    b'{"first": NaN}',
    b"\xff\xfe",
    b'{"first": ' + b"9" * 5_000 + b"}",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", NO_OBJECTS, ids=range(len(NO_OBJECTS)))
def test_a_body_that_is_not_a_json_object_is_refused(token: str, body: bytes) -> None:
    assert _problem(_post(token, ADD, body)) == (400, "wrong-body")


def test_a_body_that_is_too_large_is_refused(token: str) -> None:
    with override_settings(**{SETTING: {"ENQUEUE": {"MAX_PAYLOAD_BYTES": 100}}}):
        response = _post(token, sample.echo.name, {"value": "x" * 100})
        assert _problem(response) == (413, "too-large")
        assert "at most 100 bytes" in response.json()["detail"]
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=50):
        assert _problem(_post(token, sample.echo.name, {"value": "x" * 100})) == (413, "too-large")


def test_arguments_that_grow_too_large_when_stored_are_refused(token: str) -> None:
    with override_settings(**{SETTING: {"ENQUEUE": {"MAX_PAYLOAD_BYTES": 200}}}):
        body = {"value": [{"$type": 1}] * 12}
        assert len(json.dumps(body)) < 200
        assert _problem(_post(token, sample.echo.name, body)) == (413, "too-large")


SOLD = {"user": 1, "at": "2026-01-02T00:00:00Z", "amount": 1}
NO_KEY = "expected the primary key of a sampleapp.customer"
WRONG_ARGUMENTS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    (ADD, {}, {"/first": "this argument is required and missing"}),
    (ADD, {"first": 1, "third": 3}, {"/third": "the job has no such argument"}),
    (ADD, {"first": "1"}, {"/first": "expected a whole number, got '1'"}),
    (ADD, {"first": 1, "*": [2]}, {"/*": "the job has no such argument"}),
    (
        ADD,
        {"first": None, "second": []},
        {"/first": "expected a whole number, got null", "/second": "expected a whole number, got an array"},
    ),
    (RECORD, SOLD | {"at": "now"}, {"/at": "expected an instant such as 2026-01-02T03:04:05Z, got 'now'"}),
    (RECORD, SOLD | {"*": [1]}, {"/*/0": "expected a string, got 1"}),
    (RECORD, SOLD | {"weight": "heavy"}, {"/weight": "expected a number, got 'heavy'"}),
    (RECORD, SOLD | {"a\0": 1}, {"/a\0": "the job has no such argument"}),
    (RECORD, SOLD | {"\ud800": 1}, {"/\ud800": "the job has no such argument"}),
    (GREET, {"customer": 4711}, {"/customer": f"{NO_KEY}, got 4711"}),
    (GREET, {"customer": 10**30}, {"/customer": f"{NO_KEY}, got {10**30}"}),
    (GREET, {"customer": "\0"}, {"/customer": f"{NO_KEY}, got '\\x00'"}),
    (GREET, {"customer": {"pk": 1}}, {"/customer": f"{NO_KEY}, got an object"}),
]


@pytest.mark.parametrize(("name", "body", "errors"), WRONG_ARGUMENTS)
def test_wrong_arguments_are_named(token: str, name: str, body: Any, errors: dict[str, str]) -> None:
    response = _post(token, name, body)
    assert _problem(response) == (422, "wrong-arguments")
    assert {error["pointer"]: error["detail"] for error in response.json()["errors"]} == errors
    assert all(pointer in response.json()["detail"] for pointer in errors)


def test_arguments_that_cannot_be_stored_are_named(token: str) -> None:
    value: Any = None
    for _ in range(60):
        value = [value]
    response = _post(token, sample.echo.name, {"value": value})
    assert _problem(response) == (422, "wrong-arguments")
    assert "nested more than" in response.json()["detail"]


def test_a_repeated_request_returns_the_first_job(token: str) -> None:
    first = _post(token, ADD, {"first": 1, "second": 2}, **{"idempotency-key": "order-7"})
    drain()
    again = _post(token, ADD, {"second": 2, "first": 1.0}, **{"idempotency-key": '"order-7"'})
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["is_duplicate"], again.json()["is_duplicate"]) == (False, True)
    assert again.json()["id"] == first.json()["id"]
    assert Client().get(again["Location"]).json()["state"] == "succeeded"
    assert Job.objects.count() == 1


def test_keys_of_two_tokens_or_two_jobs_are_two_keys(token: str) -> None:
    _, other = create_token("mailing", job_names=ALLOWED)
    for sent in ((token, ADD, {"first": 1}), (other, ADD, {"first": 1}), (token, sample.echo.name, {})):
        assert _post(*sent, **{"idempotency-key": "7"}).json()["is_duplicate"] is False
    assert Job.objects.count() == 3


def test_a_key_for_other_arguments_is_refused(token: str) -> None:
    assert _post(token, ADD, {"first": 1}, **{"idempotency-key": "7"}).status_code == 202
    response = _post(token, ADD, {"first": 2}, **{"idempotency-key": "7"})
    assert response.status_code == 409
    assert response.json()["type"].endswith(":idempotency-key-reused")
    assert Job.objects.count() == 1


@pytest.mark.parametrize("key", ["", '""', "x" * 300, "a\tb"])
def test_an_invalid_key_is_refused(token: str, key: str) -> None:
    response = _post(token, ADD, {"first": 1}, **{"idempotency-key": key})
    assert _problem(response) == (400, "wrong-idempotency-key")


def test_a_key_for_a_unique_job_is_refused() -> None:
    _, token = create_token("billing", job_names=[sample.sync.name])
    response = _post(token, sample.sync.name, {"user_id": 7}, **{"idempotency-key": "7"})
    assert _problem(response) == (400, "wrong-idempotency-key")
    assert "unique" in response.json()["detail"]


def test_a_unique_job_is_reported_as_duplicate(token: str) -> None:
    _, token = create_token("billing", job_names=[sample.sync.name])
    answers = [_post(token, sample.sync.name, {"user_id": 7}).json() for _ in range(2)]
    assert [answer["is_duplicate"] for answer in answers] == [False, True]
    assert answers[0]["id"] == answers[1]["id"]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_other_methods_are_refused(token: str, method: str) -> None:
    response = getattr(Client(), method)(f"/jobs/enqueue/{ADD}/", headers={"authorization": f"Bearer {token}"})
    assert _problem(response) == (405, "wrong-method")
    assert response["Allow"] == "POST"
