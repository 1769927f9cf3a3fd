"""What only Pub/Sub does: requests and their limits, leases, error codes, credentials, and messages of others."""

from __future__ import annotations

import gc
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.pubsub_v1 import types

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.drivers.pubsub import messages as limits
from django_jobs.brokers.drivers.pubsub.connection import EMULATOR_VARIABLE
from django_jobs.brokers.drivers.pubsub.driver import PubSubDriver
from django_jobs.brokers.drivers.pubsub.queue import PubSubQueue
from django_jobs.brokers.drivers.pubsub.sender import MAX_BYTES, PubSubSender
from django_jobs.brokers.interface import BrokerDownError, NotSent, ReceivedMessage, Refused, Sent, Subscription
from django_jobs.conf.brokers import BrokerSettings, as_brokers
from django_jobs.exceptions import ConfigurationError
from tests.http_server import serve
from tests.private.base import running
from tests.private.pubsub import PROJECT, PrivatePubSub

from .test_drivers import collect, message, send

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find no credentials of this machine, and ask no metadata server for some."""
    for name in (EMULATOR_VARIABLE, "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePubSub]:
    with running(PrivatePubSub()) as server:
        yield server


@pytest.fixture
def topic(server: PrivatePubSub) -> str:
    """A topic, and a subscription of the same name."""
    name = f"orders-{uuid4().hex[:8]}"
    server.create_topic(name)
    return name


def broker_settings(url: str = f"pubsub://{PROJECT}", **options: Any) -> BrokerSettings:
    return as_brokers("BROKERS", {"gcp": {"url": url, "options": options}})["gcp"]


def connect(server: PrivatePubSub, **options: Any) -> PubSubDriver:
    driver = driver_of(broker_settings(emulator=f"127.0.0.1:{server.port}", **options))
    assert isinstance(driver, PubSubDriver)
    return driver


def subscribe(name: str = "orders", **more: Any) -> Subscription:
    return Subscription(broker="gcp", name=name, **{"group": "", **more})


def receive(source: PubSubQueue, number: int) -> list[ReceivedMessage]:
    return collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), number)


def take(source: PubSubQueue, number: int) -> list[ReceivedMessage]:
    """Receive and acknowledge: the emulator gives the next messages of a key only after that."""

    def receive_some(limit: int) -> Sequence[ReceivedMessage]:
        found = source.receive(limit=limit, wait_seconds=1.0)
        source.acknowledge(found)
        return found

    return collect(receive_some, number)


def test_a_message_lies_in_pubsub_as_cloudevents_say(server: PrivatePubSub, topic: str) -> None:
    assert send(connect(server), message(topic, 7, key="ada")) == [Sent()]
    request = types.PullRequest(subscription=f"projects/{PROJECT}/subscriptions/{topic}", max_messages=1)
    (found,) = server.subscriber.pull(request, timeout=60).received_messages
    assert (found.message.data, found.message.ordering_key) == (b'{"number": 7}', "ada")
    expected = {
        "content-type": "application/json",
        "ce-id": "id-7",
        "ce-source": "/tests",
        "ce-type": "t",
        "ce-time": "",
        "ce-specversion": "1.0",
        "tenant": "eu",
        "umlaut": "ä",
    }
    assert dict(found.message.attributes) == expected


def test_a_message_of_others_is_read_as_it_is(server: PrivatePubSub, topic: str) -> None:
    plain = types.PubsubMessage(data=b"\xff\x00", attributes={"Note": "grün"})
    path = f"projects/{PROJECT}/topics/{topic}"
    answer = server.publisher.publish(types.PublishRequest(topic=path, messages=[plain]), timeout=60)
    source = connect(server).open_source(subscribe(topic))
    (found,) = receive(source, 1)
    source.close()
    assert (found.body, found.headers, found.key, found.content_type) == (b"\xff\x00", {"Note": "grün"}, None, "")
    assert found.message_id == answer.message_ids[0]
    assert abs(datetime.now(UTC) - found.sent_at) < timedelta(minutes=5)


def test_a_batch_above_the_limits_of_a_request_keeps_the_order_of_each_key(server: PrivatePubSub, topic: str) -> None:
    sent = [message(topic, number, key=f"key-{number % 3}") for number in range(1_050)]
    large = [message(topic, 2_000 + number, key="large", body=bytes([number]) * 4_000_000) for number in range(4)]
    assert send(connect(server), *sent, *large) == [Sent()] * 1_054
    source = connect(server).open_source(subscribe(topic))
    found = take(source, 1_054)
    source.close()
    for key in ("key-0", "key-1", "key-2", "large"):
        assert [one.body for one in found if one.key == key] == [one.body for one in (*sent, *large) if one.key == key]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"headers": {"x" * 257: ""}}, "name of a header has 257 bytes; Pub/Sub takes up to 256"),
        ({"headers": {"tenant": "ü" * 513}}, "header 'tenant' has 1026 bytes; Pub/Sub takes up to 1024"),
        ({"headers": {"tenant": "\ud800"}}, "no text that UTF-8 can carry"),
        ({"headers": {"googclient_x": "1"}}, "a name that Pub/Sub keeps for itself"),
        ({"headers": {str(number): "" for number in range(101)}}, "Pub/Sub takes up to 100"),
        ({"key": "k" * 1_025}, "the key has 1025 bytes"),
        ({"body": b"x" * (MAX_BYTES - 40)}, "bytes with its attributes; Pub/Sub takes up to 10000000"),
    ],
)
def test_what_pubsub_cannot_carry_is_refused_alone(
    server: PrivatePubSub, topic: str, fault: dict[str, Any], said: str
) -> None:
    first, bad, last = send(connect(server), message(topic, 1), replace(message(topic, 2), **fault), message(topic, 3))
    assert (first, last) == (Sent(), Sent())
    assert isinstance(bad, Refused)
    assert bad.is_permanent
    assert said in bad.reason


def test_a_topic_and_a_subscription_may_be_of_another_project(server: PrivatePubSub, topic: str) -> None:
    other = driver_of(broker_settings("pubsub://other-project", emulator=f"127.0.0.1:{server.port}"))
    assert send(other, message(f"projects/{PROJECT}/topics/{topic}", 1)) == [Sent()]
    name = f"projects/{PROJECT}/subscriptions/{topic}"
    other.check(subscribe(name))
    source = other.open_source(subscribe(name))
    assert [one.body for one in receive(source, 1)] == [b'{"number": 1}']
    source.close()


def test_a_short_wait_loses_no_message_to_a_request_that_was_given_up(server: PrivatePubSub, topic: str) -> None:
    source = connect(server).open_source(subscribe(topic))
    for number in range(20):
        assert not source.receive(limit=5, wait_seconds=0.001)
        assert send(connect(server), message(topic, number)) == [Sent()]
        (found,) = receive(source, 1)
        assert found.body == b'{"number": %d}' % number
        source.acknowledge([found])
    source.close()


def test_what_was_released_is_delivered_again_in_order_with_its_attempt(server: PrivatePubSub, topic: str) -> None:
    name = f"{topic}-limited"
    policy = types.DeadLetterPolicy(dead_letter_topic=f"projects/{PROJECT}/topics/{topic}", max_delivery_attempts=50)
    server.create_subscription(name, topic=topic, dead_letter_policy=policy)
    source = connect(server).open_source(subscribe(name))
    send(connect(server), *(message(topic, number) for number in range(5)))
    found = receive(source, 5)
    source.acknowledge(found[:2])
    source.release(found[2:])
    again = receive(source, 3)
    assert [one.body for one in again] == [one.body for one in found[2:]]
    attempts = [int(one.headers[limits.DELIVERY_ATTEMPT]) for one in (found[2], again[0])]
    assert attempts[0] < attempts[1]
    source.close()


def test_ids_that_are_too_old_are_no_error(server: PrivatePubSub, topic: str) -> None:
    source = connect(server).open_source(subscribe(topic))
    send(connect(server), message(topic, 1))
    (found,) = receive(source, 1)
    source.acknowledge([found])
    source.acknowledge([found])
    source.release([found])
    assert not source.receive(limit=1, wait_seconds=0.2)
    source.close()


@pytest.mark.release
def test_the_messages_of_a_dead_consumer_come_back_after_the_deadline(server: PrivatePubSub, topic: str) -> None:
    """That of the subscription, 10 seconds; a close that never came is one whose channel was cut."""
    dead = connect(server).open_source(subscribe(topic))
    send(connect(server), message(topic, 1))
    (taken,) = receive(dead, 1)
    dead._connection.close()
    other = connect(server).open_source(subscribe(topic))
    (again,) = receive(other, 1)
    assert again.message_id == taken.message_id
    other.close()


def test_an_outage_while_reading_is_told() -> None:
    server = PrivatePubSub()
    try:
        server.start()
        server.create_topic("orders")
        source = connect(server).open_source(subscribe("orders"))
        assert not source.receive(limit=5, wait_seconds=0.01)
        server.crash()
        with pytest.raises(BrokerDownError, match="UNAVAILABLE"):
            receive(source, 1)
        source.close()
        with pytest.raises(BrokerDownError):
            source.receive(limit=1, wait_seconds=0.0)
    finally:
        server.remove()


def test_nobody_answers() -> None:
    driver = driver_of(broker_settings(emulator="127.0.0.1:1"))
    with pytest.raises(BrokerDownError, match="refused"):
        send(driver, message("orders", 1))
    with pytest.raises(BrokerDownError, match="refused"):
        driver.open_source(subscribe())


def test_a_forked_child_leaves_the_channels_of_its_parent_alone(server: PrivatePubSub, topic: str) -> None:
    sender: PubSubSender | None = connect(server).open_sender()
    assert sender is not None
    sender.send([message(topic, 1)])
    source: Any = connect(server).open_source(subscribe(topic))
    (found,) = receive(source, 1)
    assert not source.receive(limit=1, wait_seconds=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads are what this test is about
        child = os.fork()
    if child == 0:
        sender.close()
        source.close()
        sender = source = None
        gc.collect()
        outcomes = send(connect(server), message(topic, 2))
        os._exit(0 if outcomes == [Sent()] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sender.send([message(topic, 3)]) == [Sent()]
    sender.close()
    source.acknowledge([found])
    assert [one.body for one in take(source, 2)] == [b'{"number": 2}', b'{"number": 3}']
    source.close()


def test_the_emulator_may_be_named_by_its_variable(
    server: PrivatePubSub, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(EMULATOR_VARIABLE, f"127.0.0.1:{server.port}")
    assert send(driver_of(broker_settings()), message(topic, 1)) == [Sent()]


@contextmanager
def answering(answer: Callable[[Any, Any], Any]) -> Iterator[PubSubDriver]:
    """Serve as a Pub/Sub that gives ``answer(request, context)`` to every request; both are bytes."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    pool = ThreadPoolExecutor(2)
    server = grpc.server(pool, handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        driver = driver_of(broker_settings(emulator=f"127.0.0.1:{port}"))
        assert isinstance(driver, PubSubDriver)
        yield driver
    finally:
        server.stop(None).wait()
        pool.shutdown()


def always(code: str) -> Callable[[Any, Any], Any]:
    return lambda _, context: context.abort(grpc.StatusCode[code], "as the test says")


def test_one_that_the_server_calls_invalid_is_found_among_others() -> None:
    """The emulator calls nothing invalid that this driver would send."""
    published: list[bytes] = []

    def answer(request: bytes, context: Any) -> bytes:
        bodies = [one.data for one in types.PublishRequest.deserialize(request).messages]
        if b"no" in bodies:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "one of them does not fit the schema")
        published.extend(bodies)
        return types.PublishResponse.serialize(types.PublishResponse(message_ids=["1"] * len(bodies)))

    bodies = [b"no" if number in (0, 5) else b"%d" % number for number in range(9)]
    with answering(answer) as driver:
        outcomes = send(driver, *(message("orders", number, body=body) for number, body in enumerate(bodies)))
    assert published == [body for body in bodies if body != b"no"]
    for body, outcome in zip(bodies, outcomes, strict=True):
        if body == b"no":
            assert isinstance(outcome, Refused)
            assert outcome.is_permanent
            assert "the schema" in outcome.reason
        else:
            assert outcome == Sent()


def test_after_a_request_without_an_answer_no_later_one_overtakes_it() -> None:
    """The second of three requests to a topic is not answered."""
    published: list[int] = []

    def answer(request: bytes, context: Any) -> bytes:
        numbers = [int(one.data) for one in types.PublishRequest.deserialize(request).messages]
        if numbers[0] == 1_000:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        published.extend(numbers)
        return types.PublishResponse.serialize(types.PublishResponse(message_ids=["1"] * len(numbers)))

    batch = [message("orders", number, body=b"%d" % number) for number in range(2_500)]
    with answering(answer) as driver:
        outcomes = send(driver, *batch, message("other", 1, body=b"-1"))
    assert outcomes[:1_000] == [Sent()] * 1_000
    assert all(isinstance(outcome, NotSent) for outcome in outcomes[1_000:2_500])
    assert outcomes[2_500] == Sent()
    assert published == [*range(1_000), -1]


@pytest.mark.parametrize("name", ["täst", "a b", "ab", "goog-x", "a/b", "projects/ä/topics/abc", "projects/x/topics/"])
def test_a_name_that_no_topic_can_have_is_refused_alone(name: str) -> None:
    """gRPC carries a name that is no ASCII to no server, and its error looks like an outage."""
    asked: list[Any] = []

    def answer(request: bytes, context: Any) -> bytes:
        asked.extend(value for key, value in context.invocation_metadata() if key == "x-goog-request-params")
        return types.PublishResponse.serialize(types.PublishResponse(message_ids=["1"]))

    with answering(answer) as driver:
        bad, good = send(driver, message(name, 1), message("a%20b+c", 2))
    assert isinstance(bad, Refused)
    assert bad.is_permanent
    assert "expected the name of a topic" in bad.reason
    assert (good, asked) == (Sent(), [f"topic=projects/{PROJECT}/topics/a%2520b%2Bc"])


def test_a_message_with_a_time_of_no_calendar_is_read() -> None:
    found = types.PullResponse.pb()()
    for number, seconds in ((1, 10**15), (2, 1)):
        received = found.received_messages.add(ack_id=str(number))
        received.message.publish_time.seconds = seconds
    with answering(lambda _, __: found.SerializeToString()) as driver:
        source = driver.open_source(subscribe())
        first, second = source.receive(limit=2, wait_seconds=0.0)
        source.close()
    assert (first.sent_at, second.sent_at) == (None, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("code", "is_permanent"),
    [("PERMISSION_DENIED", False), ("FAILED_PRECONDITION", False), ("NOT_FOUND", False), ("INVALID_ARGUMENT", True)],
)
def test_a_code_that_is_about_a_topic_refuses_its_messages(code: str, is_permanent: bool) -> None:
    with answering(always(code)) as driver:
        outcomes = send(driver, message("orders", 1), message("orders", 2))
    for outcome in outcomes:
        assert isinstance(outcome, Refused)
        assert outcome.is_permanent == is_permanent
        assert f"{code}: as the test says" in outcome.reason


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAUTHENTICATED", "ABORTED"]
)
def test_a_code_that_is_about_everybody_uses_up_no_attempt(code: str) -> None:
    with answering(always(code)) as driver:
        with pytest.raises(BrokerDownError, match=code):
            send(driver, message("orders", 1), message("other", 2))
        first, second = send(driver, message("orders", 1), message("orders", 2, key="k" * 2_000))
    assert isinstance(first, NotSent)
    assert isinstance(second, Refused)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("NOT_FOUND", rf"'gcp'\]: expected a subscription 'orders' in the project '{PROJECT}' of the URL"),
        ("PERMISSION_DENIED", r"'gcp'\]: expected credentials that may consume 'orders'"),
        ("FAILED_PRECONDITION", r"expected a subscription 'orders' that is pulled; for one that Pub/Sub pushes set"),
        ("UNAUTHENTICATED", r"'gcp'\]\['options'\]\['credentials_file'\]: expected credentials that Pub/Sub accepts"),
    ],
)
def test_a_source_that_may_not_be_read_names_the_setting(code: str, said: str) -> None:
    with answering(always(code)) as driver, pytest.raises(ConfigurationError, match=said):
        driver.open_source(subscribe())


def test_a_source_that_is_busy_is_an_outage() -> None:
    with answering(always("RESOURCE_EXHAUSTED")) as driver, pytest.raises(BrokerDownError):
        driver.open_source(subscribe())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"emulater": "x"}, r"\['options'\].*did you mean emulator\?"),
        (
            {"emulator": "http://localhost:8085"},
            r"\['emulator'\]: expected a host such as 'host:8085', without a scheme",
        ),
        ({"credentials_file": ""}, r"\['credentials_file'\]: expected the path of a file"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        broker_settings(**options)


@pytest.mark.parametrize(
    ("subscription", "said"),
    [
        (subscribe(group="a"), "group: a subscription of Pub/Sub has no groups, got 'a'"),
        (subscribe(bind=(("a", "b"),)), "bind: Pub/Sub has no exchanges"),
        (subscribe(start="latest"), "start: a subscription is read from its first message"),
        (subscribe("googly"), "name: expected that of a subscription, .* got 'googly'"),
        (subscribe("or ders"), "name: expected that of a subscription"),
        (subscribe("projects/p/topics/orders"), "name: expected that of a subscription"),
        (subscribe(f"projects/{PROJECT}/subscriptions/orders"), "expected 'orders', got 'projects/"),
    ],
)
def test_a_wrong_subscription_is_an_error_without_network(subscription: Subscription, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        driver_of(broker_settings()).check(subscription)


@pytest.mark.parametrize("url", ["pubsub://p/orders", "pubsub://a-b,c-d", "pubsub://u:secret@abc", "pubsub://A_b"])
def test_a_url_is_the_id_of_a_project(url: str) -> None:
    for ask in (lambda driver: driver.check(subscribe()), lambda driver: driver.open_sender()):
        with pytest.raises(ConfigurationError, match=r"'gcp'\]\['url'\]: expected pubsub://project-id") as error:
            ask(driver_of(broker_settings(url)))
        assert "secret" not in str(error.value)


def test_credentials_that_are_not_there_name_the_setting(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for options in (
        {},
        {"credentials_file": None},
        {"credentials_file": tmp_path / "none.json"},
        {"credentials_file": broken},
    ):
        with pytest.raises(ConfigurationError, match=r"'gcp'\]\['options'\]\['credentials_file'\]: expected cred"):
            driver_of(broker_settings(**options)).open_sender()


def test_a_service_account_needs_no_network_to_log_in(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    account = {
        "type": "service_account",
        "client_email": "relay@test-project.iam.gserviceaccount.com",
        "token_uri": "http://127.0.0.1:1/",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    }
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account))
    driver_of(broker_settings(credentials_file=path, endpoint="127.0.0.1:1")).open_sender().close()


def test_a_login_that_is_refused_is_told_from_a_server_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "user.json"
    user = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "t"}
    path.write_text(json.dumps(user))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    driver = driver_of(broker_settings())

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b'{"error": "invalid_grant", "error_description": "revoked"}')

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with serve(Refusing) as url:
        monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", url)
        with pytest.raises(ConfigurationError, match=r"are refused: .*invalid_grant"):
            driver.open_sender()
    monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", "http://127.0.0.1:1/")
    with pytest.raises(BrokerDownError, match="refused"):
        driver.open_sender()
