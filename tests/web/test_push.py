"""A push of Pub/Sub: whose token is accepted, what each message becomes, and what has Pub/Sub send it again."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection, connections
from django.test import Client
from django.views.debug import ExceptionReporter

from django_jobs import operations
from django_jobs.brokers import consumes
from django_jobs.brokers.consuming import select_consumptions
from django_jobs.brokers.drivers.pubsub import signing_keys
from django_jobs.brokers.drivers.pubsub.signing_keys import KeysUnavailableError, SigningKeys
from django_jobs.conf import get_settings
from django_jobs.conf.broker_schemes import get_scheme
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import DeadLetter, Job, MessageSource
from django_jobs.store.messages.sources import pause_source, resume_source
from django_jobs.testing import drain
from django_jobs.web import push as push_module
from tests.http_server import serve
from tests.sampleapp import consumed
from tests.trouble import Trouble

pytestmark = pytest.mark.django_db(transaction=True)

AUDIENCE = "https://shop.example/jobs/push/gcp/"
ACCOUNT = "push@test-project.iam.gserviceaccount.com"
SUBSCRIPTION = "projects/test-project/subscriptions/shipping"
SHIP = consumed.ship.name


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


KEY, OTHER_KEY = new_key(), new_key()


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Issuer:
    """The server of an issuer's keys. ``status``: what it answers; ``fetches``: how often it was asked."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {"key-1": KEY}
        self.status = 200
        self.fetches = 0
        self.body: bytes | None = None

    def key_set(self) -> bytes:
        algorithm = jwt.algorithms.RSAAlgorithm
        keys = [
            {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig", "alg": "RS256"}
            for name, key in self.keys.items()
        ]
        return json.dumps({"keys": keys}).encode() if self.body is None else self.body

    def handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                self.send_response(issuer.status)
                self.end_headers()
                self.wfile.write(issuer.key_set())

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        return Handler


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def certs_url(issuer: Issuer) -> Iterator[str]:
    with serve(issuer.handler()) as url:
        yield f"{url}certs"


@pytest.fixture(autouse=True)
def _broker(settings: Any, certs_url: str) -> None:
    push = {"audience": AUDIENCE, "service_account": ["other@x.example", ACCOUNT], "certs_url": certs_url}
    brokers = {
        "gcp": {"url": "pubsub://test-project", "options": {"push": push}},
        "pulled": {"url": "pubsub://test-project"},
        "inside": {"url": "database:"},
    }
    settings.DJANGO_JOBS = {"BROKERS": brokers}


@pytest.fixture(autouse=True)
def consume() -> Iterator[Callable[..., None]]:
    """Have ``consumed.ship`` consume the subscription; again with other options."""

    def mark(**options: Any) -> None:
        vars(consumed.ship.function).pop("_django_jobs_consumes", None)
        consumes("gcp", "shipping", **options)(consumed.ship)

    mark()
    yield mark
    vars(consumed.ship.function).pop("_django_jobs_consumes", None)
    get_settings.cache_clear()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    values = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        "sub": "1",
        "iat": now,
        "exp": now + 3_600,
        **changed,
    }
    return {name: value for name, value in values.items() if value is not None}


def token(key: Any = KEY, *, algorithm: str = "RS256", kid: str | None = "key-1", **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


def envelope(body: bytes, *, message_id: str = "1", subscription: str = SUBSCRIPTION, **message: Any) -> bytes:
    data = b64encode(body).decode()
    inner = {
        "data": data,
        "messageId": message_id,
        "message_id": message_id,
        "publishTime": "2026-11-30T10:00:00.123456789Z",
        **message,
    }
    return json.dumps({"message": inner, "subscription": subscription, "deliveryAttempt": 3}).encode()


def post(content: bytes, authorization: str | None = "", *, name: str = "gcp", client: Client | None = None) -> Any:
    """Push as Pub/Sub does; without ``authorization`` by a right token, with None by none."""
    given = f"Bearer {token()}" if authorization == "" else authorization
    headers = {} if given is None else {"authorization": given}
    client = client or Client(enforce_csrf_checks=True)
    return client.post(f"/jobs/push/{name}/", content, content_type="application/json", headers=headers)


def orders() -> list[int]:
    return [job.arguments["order_id"] for job in Job.objects.filter(name=SHIP).order_by("pk")]


def test_a_push_becomes_one_job() -> None:
    pushed = envelope(b'{"order_id": 7, "customer": "ada"}', orderingKey="ada", attributes={"tenant": "eu"})
    response = post(pushed)
    assert (response.status_code, response.content) == (204, b"")
    (job,) = Job.objects.all()
    assert job.arguments == {"order_id": 7, "customer": "ada"}
    assert job.metadata["message"] == {"broker": "gcp", "name": "shipping", "id": "1"}
    source = MessageSource.objects.get()
    assert (source.name, source.received, source.duplicates, source.job_name) == ("shipping", 1, 0, SHIP)


def test_decode_is_given_all_of_the_message(consume: Callable[..., None]) -> None:
    seen: list[Any] = []

    def decode(message: Any) -> dict[str, Any]:
        seen.append(message)
        return {"order_id": 1}

    consume(decode=decode)
    attributes = {"ce-id": "event-1", "content-type": "text/plain"}
    assert post(envelope(b"\xff\x00", attributes=attributes, orderingKey="k")).status_code == 204
    (message,) = seen
    assert (message.body, message.key, message.message_id, message.content_type) == (
        b"\xff\x00",
        "k",
        "1",
        "text/plain",
    )
    assert message.headers == {"ce-id": "event-1", "googclient_deliveryattempt": "3"}
    assert message.sent_at.isoformat() == "2026-11-30T10:00:00.123456+00:00"


@pytest.mark.parametrize("attributes", [{}, {"ce-id": "event-1"}])
def test_a_second_delivery_is_answered_alike_and_makes_no_job(attributes: dict[str, str]) -> None:
    for number in (1, 2):
        message_id = "7" if not attributes else str(number)
        assert post(envelope(b'{"order_id": 1}', message_id=message_id, attributes=attributes)).status_code == 204
    assert orders() == [1]
    source = MessageSource.objects.get()
    assert (source.received, source.duplicates) == (2, 1)


@pytest.mark.parametrize("body", [b"no JSON", b'{"order": 1}', b"\xff", b'{"order_id": "%s"}' % (b"x" * 1_100_000)])
def test_poison_is_kept_and_does_not_come_again(body: bytes) -> None:
    assert post(envelope(body)).status_code == 204
    drain()
    assert orders() == []
    assert "gcp/shipping" in DeadLetter.objects.get().error_message
    assert MessageSource.objects.get().poison == 1


def test_a_message_above_the_limit_of_forms_is_read(settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    assert post(envelope(b'{"order_id": 1}' + b" " * 5_000)).status_code == 204
    assert orders() == [1]


def test_an_envelope_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = envelope(b'{"order_id": 1}')
    monkeypatch.setattr(push_module, "MAX_BYTES", len(content) - 1)
    assert post(content).status_code == 413
    monkeypatch.setattr(push_module, "MAX_BYTES", len(content))
    assert post(content).status_code == 204


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"message": {}, "subscription": "s"}',
        b'{"message": {"messageId": "1", "data": "?"}, "subscription": "s"}',
        b'{"message": {"messageId": "1", "attributes": {"a": 1}}, "subscription": "s"}',
        b'{"message": {"messageId": "1"}}',
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    assert post(content).status_code == 400
    assert not Job.objects.exists()


def hs256_with_the_public_key() -> str:
    """PyJWT itself refuses to make such a token, so it is put together by hand."""

    def encode(part: bytes) -> bytes:
        return jwt.utils.base64url_encode(part)

    header = encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "key-1"}).encode())
    signed = header + b"." + encode(json.dumps(claims()).encode())
    return (signed + b"." + encode(hmac.new(public_pem(KEY), signed, hashlib.sha256).digest())).decode()


def with_header(header: bytes) -> str:
    """A token that nobody has signed: its header is read before its signature."""
    return ".".join(jwt.utils.base64url_encode(part).decode() for part in (header, json.dumps(claims()).encode(), b"x"))


def changed_payload() -> str:
    header, _, signature = token().split(".")
    payload = jwt.utils.base64url_encode(json.dumps(claims(sub="2")).encode()).decode()
    return f"{header}.{payload}.{signature}"


REFUSED: dict[str, Callable[[], str | None]] = {
    "no header": lambda: None,
    "another scheme": lambda: "Basic YTpi",
    "no token": lambda: "Bearer",
    "no JWT": lambda: "Bearer nonsense",
    "three empty parts": lambda: "Bearer ..",
    "too long": lambda: f"Bearer {token(sub='x' * 9_000)}",
    "another key's signature": lambda: f"Bearer {token(OTHER_KEY)}",
    "a changed payload": lambda: f"Bearer {changed_payload()}",
    "no signature": lambda: f"Bearer {token('', algorithm='none')}",
    "the public key as a password": lambda: f"Bearer {hs256_with_the_public_key()}",
    "another algorithm of the same key": lambda: f"Bearer {token(algorithm='RS512')}",
    "an unknown key": lambda: f"Bearer {token(kid='key-9')}",
    "no key": lambda: f"Bearer {token(kid=None)}",
    "another audience": lambda: f"Bearer {token(aud='https://evil.example/')}",
    "no audience": lambda: f"Bearer {token(aud=None)}",
    "another issuer": lambda: f"Bearer {token(iss='https://evil.example')}",
    "expired": lambda: f"Bearer {token(iat=1_700_000_000, exp=1_700_003_600)}",
    "without an end": lambda: f"Bearer {token(exp=None)}",
    "of the future": lambda: f"Bearer {token(iat=int(time.time()) + 900)}",
    "without an account": lambda: f"Bearer {token(email=None)}",
    "a header that is nested too deeply": lambda: "Bearer " + with_header(b"[" * 5_000),
    "a key's id that is no text": lambda: "Bearer " + with_header(b'{"alg": "RS256", "kid": ["key-1"]}'),
    "algorithms": lambda: "Bearer " + with_header(b'{"alg": ["RS256"], "kid": "key-1"}'),
    "an end without end": lambda: f"Bearer {token(exp=float('inf'))}",
    "a beginning that is no number": lambda: f"Bearer {token(nbf=[1])}",
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_that_is_not_right_is_refused_without_a_word(case: str) -> None:
    response = post(envelope(b'{"order_id": 1}'), REFUSED[case]())
    assert (response.status_code, response.content) == (401, b"")
    assert response["WWW-Authenticate"] == "Bearer"
    assert not Job.objects.exists()
    assert not MessageSource.objects.exists()


@pytest.mark.parametrize("changed", [{"email": "eve@x.example"}, {"email_verified": False}, {"email_verified": None}])
def test_a_right_token_of_another_account_is_forbidden(changed: dict[str, Any]) -> None:
    response = post(envelope(b'{"order_id": 1}'), f"Bearer {token(**changed)}")
    assert (response.status_code, response.content) == (403, b"")
    assert not Job.objects.exists()


def test_the_other_spelling_of_the_issuer_and_a_clock_that_is_a_little_off_are_accepted() -> None:
    now = int(time.time())
    right = token(iss="accounts.google.com", iat=now + 8, exp=now - 2)
    assert post(envelope(b'{"order_id": 1}'), f"bearer {right}").status_code == 204


def test_the_log_tells_why_and_not_which_token(caplog: pytest.LogCaptureFixture) -> None:
    wrong = token(aud="https://evil.example/")
    post(envelope(b"{}"), f"Bearer {wrong}")
    assert "gcp: a push is refused: InvalidAudienceError" in caplog.text
    assert wrong not in caplog.text


def test_a_report_of_an_error_has_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not installed is found here: the report goes to the admins by mail."""
    monkeypatch.setitem(sys.modules, "requests", None)
    right = token()
    response = post(envelope(b"{}"), f"Bearer {right}", client=Client(raise_request_exception=False))
    assert response.status_code == 500
    report = ExceptionReporter(None, *response.exc_info).get_traceback_html()
    assert "needs the package of &#x27;requests&#x27;" in report
    assert right not in report


def variables(error: BaseException | None) -> Iterator[str]:
    """Yield what a report shows of the frames of an error and of those from which it came, and its texts."""
    while error is not None:
        yield str(error)
        for frame, _ in traceback.walk_tb(error.__traceback__):
            yield from map(repr, frame.f_locals.values())
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "broken",
    ["jwt.algorithms.RSAAlgorithm.verify", "jwt.api_jws.PyJWS.decode_complete", "requests.get", "jwt.PyJWK"],
)
def test_no_frame_of_an_error_in_a_package_has_the_token(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Other reporters than Django's heed no mark of ours: an error of PyJWT or requests is raised without frames."""
    right = token()

    def fail(*given: Any, **_: Any) -> Any:
        raise AttributeError(f"no attribute of {given!r} and {right}")

    monkeypatch.setattr(broken, fail)
    response = post(envelope(b"{}"), f"Bearer {right}", client=Client(raise_request_exception=False))
    assert response.status_code == 500
    error = response.exc_info[1]
    assert "the token of a push cannot be checked: AttributeError: no attribute of" in str(error)
    assert "test_push.py" in str(error)
    report = ExceptionReporter(response.wsgi_request, *response.exc_info)
    shown = [*variables(error), report.get_traceback_html(), report.get_traceback_text()]
    for part in (right, right.split(".")[2]):
        assert [text[:200] for text in shown if part in text] == []


@pytest.mark.parametrize("name", ["gpc", "pulled", "inside"])
def test_a_broker_that_is_not_pushed_is_not_there(name: str) -> None:
    assert post(envelope(b'{"order_id": 1}'), name=name).status_code == 404


@pytest.mark.parametrize(
    "subscription", ["projects/test-project/subscriptions/other", "projects/x/subscriptions/shipping"]
)
def test_a_subscription_that_nobody_consumes_is_sent_again(subscription: str, caplog: pytest.LogCaptureFixture) -> None:
    assert post(envelope(b'{"order_id": 1}', subscription=subscription)).status_code == 404
    assert "no job consumes the subscription" in caplog.text


def test_no_cookie_is_needed_against_other_sites(settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
    assert post(envelope(b'{"order_id": 1}')).status_code == 204


@pytest.mark.parametrize("method", ["get", "put", "delete", "options"])
def test_only_post_is_allowed(method: str, client: Client) -> None:
    response = getattr(client, method)("/jobs/push/gcp/", headers={"authorization": f"Bearer {token()}"})
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_without_a_database_it_is_sent_again(trouble: Trouble) -> None:
    content = envelope(b'{"order_id": 1}')
    trouble.unreachable()
    assert post(content).status_code == 503
    trouble.end()
    assert post(content).status_code == 204
    assert orders() == [1]


def test_nothing_is_acknowledged_that_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    class DiedError(Exception):
        pass

    def die(*_: Any, **__: Any) -> Any:
        raise DiedError

    content = envelope(b'{"order_id": 1}')
    with monkeypatch.context() as patch:
        patch.setattr("django_jobs.brokers.converting.enqueue_ids", die)
        assert post(content, client=Client(raise_request_exception=False)).status_code == 500
    assert post(content).status_code == 204
    assert orders() == [1]


def test_with_atomic_requests_the_commit_still_comes_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    take = push_module.take_pushed

    def take_pushed(*arguments: Any, **options: Any) -> None:
        seen.append(connection.in_atomic_block)
        take(*arguments, **options)

    monkeypatch.setattr(push_module, "take_pushed", take_pushed)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert post(envelope(b'{"order_id": 1}')).status_code == 204
    assert seen == [False]


def test_poison_that_stops_is_sent_again_until_the_source_is_resumed(consume: Callable[..., None]) -> None:
    consume(on_poison="stop")
    poison, good = envelope(b"no", message_id="1"), envelope(b'{"order_id": 2}', message_id="2")
    assert [post(content).status_code for content in (poison, good)] == [503, 503]
    source = MessageSource.objects.get()
    assert "no JSON" in source.stopped_reason
    assert not Job.objects.exists()
    assert resume_source(source.pk)
    assert post(good).status_code == 204
    assert orders() == [2]


def test_a_source_that_is_paused_takes_nothing() -> None:
    assert post(envelope(b'{"order_id": 1}', message_id="1")).status_code == 204
    source = MessageSource.objects.get()
    assert pause_source(source.pk)
    assert post(envelope(b'{"order_id": 2}', message_id="2")).status_code == 503
    assert resume_source(source.pk)
    assert post(envelope(b'{"order_id": 2}', message_id="2")).status_code == 204
    assert orders() == [1, 2]


def test_while_too_many_jobs_wait_nothing_is_taken(
    consume: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_jobs.brokers.pushing.COUNT_SECONDS", 0.0)
    consume(max_waiting=1)
    assert post(envelope(b'{"order_id": 1}', message_id="1")).status_code == 204
    assert post(envelope(b'{"order_id": 2}', message_id="2")).status_code == 503
    drain()
    assert post(envelope(b'{"order_id": 2}', message_id="2")).status_code == 204
    assert orders() == [1, 2]


def test_poison_of_a_push_can_be_read_again(consume: Callable[..., None]) -> None:
    assert post(envelope(b'{"number": 3}')).status_code == 204
    drain()
    consume(decode=lambda message: {"order_id": json.loads(message.body)["number"]})
    assert operations.redrive(DeadLetter.objects.all(), by="ada") == 1
    drain()
    assert orders() == [3]


def test_nothing_is_consumed_from_a_broker_that_pushes() -> None:
    assert select_consumptions([]) == []
    with pytest.raises(ConfigurationError, match="'gcp/shipping': its messages are pushed"):
        select_consumptions(["gcp/shipping"])


def test_keys_that_cannot_be_fetched_are_no_fault_of_the_token(issuer: Issuer) -> None:
    issuer.status = 500
    response = post(envelope(b'{"order_id": 1}'))
    assert (response.status_code, response.content) == (503, b"")
    assert not Job.objects.exists()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"keys": []}', b'{"keys": 7}', b'{"keys": [7]}', b"[" * 100_000])
def test_a_set_without_keys_is_an_outage(issuer: Issuer, body: bytes) -> None:
    issuer.body = body
    assert post(envelope(b'{"order_id": 1}')).status_code == 503


def test_keys_are_fetched_once_and_not_for_every_made_up_key(issuer: Issuer) -> None:
    for number in range(3):
        assert post(envelope(b'{"order_id": 1}', message_id=str(number))).status_code == 204
        assert post(envelope(b"{}"), f"Bearer {token(kid=f'made-up-{number}')}").status_code == 401
    assert issuer.fetches == 1


def test_a_new_key_is_found_and_an_old_one_lasts_through_an_outage(
    issuer: Issuer, certs_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = SigningKeys(get_scheme("pubsub"), certs_url)
    assert keys.find("key-1") is not None
    issuer.keys["key-2"] = OTHER_KEY
    assert keys.find("key-2") is None
    monkeypatch.setattr(signing_keys, "UNKNOWN_SECONDS", -1.0)
    assert keys.find("key-2") is not None
    issuer.status = 503
    monkeypatch.setattr(signing_keys, "FRESH_SECONDS", -1.0)
    assert keys.find("key-2") is not None
    fetches = issuer.fetches
    assert keys.find("key-1") is not None
    assert issuer.fetches == fetches
    with pytest.raises(KeysUnavailableError):
        keys.find("key-3")
    monkeypatch.setattr(signing_keys, "STALE_SECONDS", -1.0)
    with pytest.raises(KeysUnavailableError):
        keys.find("key-1")


def test_a_key_that_is_no_rsa_key_for_signatures_is_left_out(issuer: Issuer, certs_url: str) -> None:
    good = json.loads(issuer.key_set())["keys"][0]
    shared = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"}
    issuer.body = json.dumps({"keys": [shared, {**good, "use": "enc", "kid": "secret"}, good]}).encode()
    keys = SigningKeys(get_scheme("pubsub"), certs_url)
    assert [keys.find(name) is not None for name in ("key-1", "shared", "secret")] == [True, False, False]


ODD_KEYS: dict[str, Any] = {
    "no object": 7,
    "no type": {"kty": None},
    "a list of ids": {"kid": ["key-1"]},
    "algorithms": {"alg": ["RS256"]},
    "for encryption": {"alg": "RSA-OAEP"},
    "a number that is none": {"n": "?"},
    "a number as such": {"n": 7},
    "an exponent of zero": {"e": "AA"},
}


@pytest.mark.parametrize("case", ODD_KEYS)
def test_an_odd_key_does_not_spoil_the_others_of_its_set(issuer: Issuer, case: str) -> None:
    good = json.loads(issuer.key_set())["keys"][0]
    changed = ODD_KEYS[case]
    odd = {**good, "kid": "odd", **changed} if isinstance(changed, dict) else changed
    issuer.body = json.dumps({"keys": [odd, good]}).encode()
    assert post(envelope(b'{"order_id": 1}')).status_code == 204
    assert post(envelope(b'{"order_id": 2}'), f"Bearer {token(kid='odd')}").status_code == 401


def test_a_key_that_is_published_with_its_secret_part_signs_nothing(issuer: Issuer) -> None:
    known = json.loads(issuer.key_set())["keys"][0]
    whole = {**jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY, as_dict=True), "kid": "whole"}
    issuer.body = json.dumps({"keys": [whole, known]}).encode()
    assert post(envelope(b'{"order_id": 1}'), f"Bearer {token(OTHER_KEY, kid='whole')}").status_code == 401
    assert post(envelope(b'{"order_id": 1}')).status_code == 204


def test_deliveries_of_one_message_at_the_same_time_make_one_job() -> None:
    content, right = envelope(b'{"order_id": 1}'), f"Bearer {token()}"
    barrier = threading.Barrier(4)

    def deliver(_: int) -> int:
        try:
            barrier.wait(30)
            return int(post(content, right).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(deliver, range(4))) == [204] * 4
    assert orders() == [1]
    source = MessageSource.objects.get()
    assert (source.received, source.duplicates) == (4, 3)


PUSH = {"audience": AUDIENCE, "service_account": ACCOUNT}


@pytest.mark.parametrize(
    ("push", "said"),
    [
        ({}, "'audience' and 'service_account' missing"),
        ({"audience": AUDIENCE}, "'service_account' missing"),
        ({**PUSH, "audience": ""}, r"\['audience'\]: expected a text"),
        ({**PUSH, "service_account": []}, r"\['service_account'\]: expected the e-mail address"),
        ({**PUSH, "service_account": "push"}, r"\['service_account'\]: expected the e-mail address"),
        ({**PUSH, "certs_url": "http://keys.example/"}, r"\['certs_url'\]: expected an address that begins with https"),
        ({**PUSH, "clock_skew": 3_600}, r"\['clock_skew'\]: expected up to 300 seconds"),
        ({**PUSH, "audiense": "x"}, r"did you mean audience\?"),
        ("yes", r"\['push'\]: expected a dict"),
    ],
)
def test_a_wrong_option_is_an_error_with_advice(settings: Any, push: Any, said: str) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {"gcp": {"url": "pubsub://abc", "options": {"push": push}}}}
    with pytest.raises(ConfigurationError, match=said):
        get_settings()
