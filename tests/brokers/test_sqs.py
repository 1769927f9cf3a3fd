"""What only SQS does: requests of ten, FIFO queues, text bodies, ten attributes, credentials, and its errors."""

from __future__ import annotations

import http.client
import json
import os
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.drivers.sqs.batches import MAX_BATCH_BYTES, split
from django_jobs.brokers.drivers.sqs.driver import SqsDriver
from django_jobs.brokers.drivers.sqs.entries import MAX_BYTES, from_message, size_of, to_entry
from django_jobs.brokers.drivers.sqs.errors import outcome_of
from django_jobs.brokers.drivers.sqs.sender import SqsSender
from django_jobs.brokers.interface import (
    BrokerDownError,
    NotSent,
    OutgoingMessage,
    QueueSource,
    ReceivedMessage,
    Refused,
    SendOutcome,
    Sent,
    Subscription,
)
from django_jobs.conf.brokers import BrokerSettings, as_brokers
from django_jobs.exceptions import ConfigurationError
from tests.private.base import running
from tests.private.sqs import CREDENTIALS, HIDDEN_SECONDS, REGION, PrivateSQS

from .test_drivers import collect, message, read_all, send

pytestmark = pytest.mark.slow
SECRET = CREDENTIALS["aws_secret_access_key"]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateSQS]:
    with running(PrivateSQS()) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: PrivateSQS) -> Iterator[Any]:
    client = server.connect()
    yield client
    client.close()


class Front:
    """Stands before the server and answers requests for some operations by itself: with an error of SQS.

    The server has neither credentials to reject nor a rate to throttle. ``errors``: ``(status, code)`` by operation,
    or by operation and queue: ``"SendMessageBatch/orders"``. ``asked``: how often each operation was; ``given``: its
    last request.
    """

    def __init__(self, port: int) -> None:
        self.errors: dict[str, tuple[int, str]] = {}
        self.asked: Counter[str] = Counter()
        self.given: dict[str, dict[str, Any]] = {}
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = front._answer(dict(self.headers), body, port)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, headers: dict[str, str], body: bytes, port: int) -> tuple[int, bytes]:
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        self.asked[operation] += 1
        given = self.given[operation] = json.loads(body)
        queue = given.get("QueueUrl", "").rpartition("/")[2]
        if error := self.errors.get(operation) or self.errors.get(f"{operation}/{queue}"):
            status, code = error
            said = {"__type": f"com.amazonaws.sqs#{code}", "message": f"{code} for {SECRET}"}
            return status, json.dumps(said).encode()
        if self.is_too_long(operation, given):
            return 400, json.dumps({"__type": "com.amazonaws.sqs#BatchRequestTooLong", "message": "too long"}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            passed = ("X-Amz-Target", "Content-Type", "Authorization")
            connection.request("POST", "/", body, {name: headers[name] for name in passed})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    longest_batch: int | None = None
    """A request to send with more characters in its bodies is refused whole, as older servers do from 256 KB on."""

    def is_too_long(self, operation: str, given: dict[str, Any]) -> bool:
        if self.longest_batch is None or operation != "SendMessageBatch":
            return False
        return sum(len(entry["MessageBody"]) for entry in given["Entries"]) > self.longest_batch


@pytest.fixture
def front(server: PrivateSQS) -> Iterator[Front]:
    front = Front(server.port)
    yield front
    front.close()


def new_queue(server: PrivateSQS, suffix: str = "", **attributes: str) -> str:
    name = f"orders-{uuid4().hex[:8]}{suffix}"
    server.create_queue(name, **attributes)
    return name


def broker_settings(port: int, *, url: str = f"sqs://{REGION}", **options: Any) -> BrokerSettings:
    options = {"endpoint_url": f"http://127.0.0.1:{port}", **CREDENTIALS, **options}
    return as_brokers("BROKERS", {"aws": {"url": url, "options": options}})["aws"]


def connect(at: PrivateSQS | Front, **options: Any) -> SqsDriver:
    driver = driver_of(broker_settings(at.port, **options))
    assert isinstance(driver, SqsDriver)
    return driver


def subscribe(queue: str, **options: Any) -> Subscription:
    return Subscription(broker="aws", name=queue, group=options.pop("group", ""), **options)


def open_queue(at: PrivateSQS | Front, queue: str, **options: Any) -> QueueSource:
    return connect(at, **options).open_source(subscribe(queue))


def take(at: PrivateSQS, queue: str, number: int = 1) -> list[ReceivedMessage]:
    source = open_queue(at, queue)
    try:
        return read_all(source, number)
    finally:
        source.close()


def with_headers(topic: str, headers: dict[str, str]) -> OutgoingMessage:
    return replace(message(topic, 1), headers=headers)


# ---- requests


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([1] * 10, [10]),
        ([1] * 21, [10, 10, 1]),
        ([MAX_BATCH_BYTES // 2] * 3, [2, 1]),
        ([MAX_BATCH_BYTES - 1, 1, 1], [2, 1]),
        ([5, MAX_BATCH_BYTES * 3, 5], [1, 1, 1]),
    ],
)
def test_a_request_has_up_to_ten_messages_and_256_kb(sizes: list[int], batches: list[int]) -> None:
    split_into = list(split(dict(enumerate(sizes))))
    assert [len(batch) for batch in split_into] == batches
    assert [index for batch in split_into for index in batch] == list(range(len(sizes)))


def test_a_flush_is_as_many_requests_as_it_needs(server: PrivateSQS, front: Front) -> None:
    one, other = new_queue(server), new_queue(server)
    messages = [message(other if number % 3 else one, number) for number in range(36)]
    assert send(connect(front), *messages) == [Sent()] * 36
    assert front.asked["SendMessageBatch"] == 2 + 3
    assert front.asked["GetQueueUrl"] == 2
    for queue in (one, other):
        assert [one.body for one in take(server, queue, 12)] == [m.body for m in messages if m.destination == queue][
            :12
        ]


def test_a_message_over_a_megabyte_is_refused_before_it_is_sent(server: PrivateSQS, front: Front) -> None:
    queue = new_queue(server)
    overhead = size_of(to_entry(message(queue, 1, body=b"x"), is_fifo=False)) - 1
    largest, too_large = (message(queue, 1, body=b"x" * (MAX_BYTES - overhead + more)) for more in (0, 1))
    refused, sent = send(connect(front), too_large, message(queue, 2))
    assert refused == Refused(
        reason=f"the message is {MAX_BYTES + 1} bytes with its attributes; SQS takes up to {MAX_BYTES}",
        is_permanent=True,
    )
    assert sent == Sent()
    assert len(front.given["SendMessageBatch"]["Entries"]) == front.asked["SendMessageBatch"] == 1
    (by_queue,) = send(connect(front), largest)
    assert isinstance(by_queue, Refused)
    assert "must be shorter than" in by_queue.reason, "this server takes no more than 256 KB"


def test_a_batch_that_is_refused_whole_is_sent_message_by_message(server: PrivateSQS, front: Front) -> None:
    queue = new_queue(server)
    front.longest_batch = 100
    bodies = [b"x" * 60, b"y" * 101, b"z" * 60]
    outcomes = send(connect(front), *(message(queue, number, body=body) for number, body in enumerate(bodies)))
    assert [type(outcome) for outcome in outcomes] == [Sent, Refused, Sent]
    assert outcomes[1] == Refused(reason="BatchRequestTooLong: too long", is_permanent=True)
    assert [one.body for one in take(server, queue, 2)] == [bodies[0], bodies[2]]


def test_a_full_batch_is_received_and_deleted(server: PrivateSQS, front: Front) -> None:
    queue = new_queue(server)
    send(connect(server), *(message(queue, number) for number in range(47)))
    source = open_queue(front, queue)
    found = source.receive(limit=45, wait_seconds=1.0)
    assert len({one.message_id for one in found}) == 45
    assert source.backlog() == 47
    source.acknowledge(found)
    assert (source.backlog(), front.asked["DeleteMessageBatch"], front.asked["ReceiveMessage"]) == (2, 5, 5)
    source.close()


# ---- FIFO queues


def test_a_group_goes_on_only_when_its_messages_are_deleted(server: PrivateSQS) -> None:
    queue = new_queue(server, ".fifo")
    sent = [message(queue, number, key="ab"[number % 2]) for number in range(24)]
    assert send(connect(server), *sent) == [Sent()] * 24
    one, other = open_queue(server, queue), open_queue(server, queue)
    first = list(one.receive(limit=3, wait_seconds=1.0))
    assert [found.key for found in first] == ["a", "b", "a"]
    assert not other.receive(limit=10, wait_seconds=0.0)
    one.acknowledge(first[:1])
    one.release(first[1:])
    rest = read_all(other, 23)
    for key in "ab":
        in_order = [found.body for found in [*first[:1], *rest] if found.key == key]
        assert in_order == [given.body for given in sent if given.key == key]
    one.close()
    other.close()


def test_a_message_that_is_sent_again_is_no_second_one(server: PrivateSQS) -> None:
    queue = new_queue(server, ".fifo")
    assert send(connect(server), message(queue, 1), message(queue, 2)) == [Sent(), Sent()]
    assert send(connect(server), message(queue, 1)) == [Sent()]
    source = open_queue(server, queue)
    assert source.backlog() == 2
    source.close()


@pytest.mark.parametrize("key", [None, "customer-3", "with space", "grün", "k" * 200])
def test_a_group_is_the_key_or_its_hash_or_the_id(server: PrivateSQS, client: Any, key: str | None) -> None:
    queue = new_queue(server, ".fifo")
    assert send(connect(server), message(queue, 1, key=key)) == [Sent()]
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    (raw,) = client.receive_message(QueueUrl=url, AttributeNames=["All"], VisibilityTimeout=0)["Messages"]
    attributes = raw["Attributes"]
    assert attributes["MessageDeduplicationId"] == "id-1"
    group = {None: "id-1", "customer-3": "customer-3"}.get(key)
    assert attributes["MessageGroupId"] == group or (group is None and len(attributes["MessageGroupId"]) == 64)
    (found,) = take(server, queue)
    assert found.key == key


# ---- bodies and headers


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"name": "gr\xc3\xbcn"}', '{"name": "grün"}'),
        ("\U0001f600\t\r\n".encode(), "\U0001f600\t\r\n"),
        (b"\xff\xfe", "//4="),
        (b"a\x00b", "YQBi"),
        ("a\uffffb".encode(), "Ye+/v2I="),
        (b"", "\n"),
    ],
)
def test_a_body_that_is_no_text_goes_in_base64(server: PrivateSQS, client: Any, body: bytes, text: str) -> None:
    queue = new_queue(server)
    assert send(connect(server), message(queue, 1, body=body)) == [Sent()]
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    (raw,) = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"], VisibilityTimeout=0)["Messages"]
    assert raw["Body"] == text
    assert ("content-transfer-encoding" in raw["MessageAttributes"]) == (text.encode() != body)
    (found,) = take(server, queue)
    assert found.body == body
    assert not any("encoding" in name for name in found.headers)


def test_headers_without_room_or_that_no_attribute_can_have_arrive(server: PrivateSQS, client: Any) -> None:
    queue = new_queue(server)
    headers = {f"h-{number}": f"value {number}" for number in range(8)}
    headers |= {"with space": "x", "aws.trace": "x", "empty": "", "control": "a\x00b", "grün": "ü", "x" * 300: "long"}
    assert send(connect(server), with_headers(queue, headers)) == [Sent()]
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    (raw,) = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"], VisibilityTimeout=0)["Messages"]
    names = set(raw["MessageAttributes"])
    assert len(names) == 10
    assert {"ce-id", "ce-type", "ce-source", "ce-partitionkey", "content-type", "h-0", "more-headers"} <= names
    (found,) = take(server, queue)
    events = {f"ce-{name}": value for name, value in message(queue, 1).attributes.items()}
    assert found.headers == headers | events
    assert (found.content_type, found.key) == ("application/json", "k")


@pytest.mark.parametrize(("number", "has_rest"), [(3, False), (4, True)])
def test_as_many_headers_as_there_is_room_for_are_attributes(number: int, has_rest: bool) -> None:
    given = replace(
        with_headers("orders", {f"h{index}": "x" for index in range(number)}),
        attributes=dict.fromkeys(("id", "source", "type", "time", "specversion"), "x"),
    )
    attributes = to_entry(given, is_fifo=False)["MessageAttributes"]
    assert len(attributes) == 10
    assert ("more-headers" in attributes) == has_rest


def test_a_header_cannot_take_the_name_of_an_attribute_with_a_meaning(server: PrivateSQS) -> None:
    queue = new_queue(server)
    wrong = with_headers(queue, {"content-transfer-encoding": "base64"})
    refused, sent = send(connect(server), wrong, message(queue, 2))
    assert isinstance(refused, Refused)
    assert refused.is_permanent
    assert "'content-transfer-encoding'" in refused.reason
    assert sent == Sent()


def test_a_message_of_others_is_read_as_it_is(server: PrivateSQS, client: Any) -> None:
    queue = new_queue(server, ".fifo", ContentBasedDeduplication="true")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = {
        "count": {"DataType": "Number", "StringValue": "7"},
        "name": {"DataType": "Binary", "BinaryValue": "grün".encode()},
        "raw": {"DataType": "Binary", "BinaryValue": b"\xff"},
        "content-transfer-encoding": {"DataType": "String", "StringValue": "base64"},
        "more-headers": {"DataType": "String", "StringValue": "[1]"},
    }
    client.send_message(QueueUrl=url, MessageBody="no base64!", MessageGroupId="g", MessageAttributes=attributes)
    (found,) = take(server, queue)
    assert (found.body, found.key, found.content_type) == (b"no base64!", "g", "")
    assert found.headers == {"count": "7", "name": "grün"}
    assert found.sent_at is not None
    assert abs(datetime.now(UTC) - found.sent_at) < timedelta(hours=1)


def test_a_text_that_no_utf_8_carries_is_read() -> None:
    """SQS refuses half a surrogate pair; others that speak its protocol may not."""
    found = from_message({"MessageId": "1", "ReceiptHandle": "r", "Body": '{"a": "\ud800"}'})
    assert found.body == b'{"a": "\xed\xa0\x80"}'


@pytest.mark.parametrize("operation", ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
def test_an_answer_that_nobody_foresaw_is_an_outage_of_its_source(
    server: PrivateSQS, front: Front, operation: str
) -> None:
    """A consumer ends at any other error, and with it the consumers of all its sources."""
    queue = new_queue(server)
    send(connect(server), message(queue, 1))
    source = open_queue(front, queue)
    found = collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 1)
    front.errors = {operation: (400, "UnsupportedOperation")}
    ask = {
        "ReceiveMessage": lambda: source.receive(limit=1, wait_seconds=0.0),
        "DeleteMessageBatch": lambda: source.acknowledge(found),
        "ChangeMessageVisibilityBatch": lambda: source.release(found),
    }
    with pytest.raises(BrokerDownError, match="UnsupportedOperation"):
        ask[operation]()
    source.close()


def test_a_queue_that_cannot_be_looked_up_for_an_unknown_reason_is_an_outage(front: Front) -> None:
    front.errors = {"GetQueueUrl": (400, "UnsupportedOperation")}
    with pytest.raises(BrokerDownError, match="UnsupportedOperation"):
        open_queue(front, "orders")


# ---- time, queues that are not there, errors


def test_redeliver_after_is_how_long_a_message_is_hidden(server: PrivateSQS) -> None:
    queue = new_queue(server)
    send(connect(server), message(queue, 1))
    source = open_queue(server, queue, redeliver_after=10 * HIDDEN_SECONDS)
    (first,) = collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 1)
    server.pass_time(2 * HIDDEN_SECONDS)
    assert not source.receive(limit=1, wait_seconds=0.0)
    server.pass_time(9 * HIDDEN_SECONDS)
    (again,) = collect(lambda limit: source.receive(limit=limit, wait_seconds=1.0), 1)
    assert again.message_id == first.message_id
    source.close()


def test_a_queue_that_is_deleted_is_a_configuration_error_of_its_source(server: PrivateSQS, client: Any) -> None:
    queue = new_queue(server)
    source, sender = open_queue(server, queue), connect(server).open_sender()
    assert sender.send([message(queue, 1)]) == [Sent()]
    client.delete_queue(QueueUrl=client.get_queue_url(QueueName=queue)["QueueUrl"])
    with pytest.raises(ConfigurationError, match=rf"BROKERS'\]\['aws'\]: expected a queue '{queue}'"):
        source.receive(limit=1, wait_seconds=0.0)
    assert sender.send([message(queue, 2)]) == [Refused(reason=f"there is no queue {queue!r}")]
    server.create_queue(queue)
    assert sender.send([message(queue, 3)]) == [Sent()]
    source.close()
    sender.close()


def test_a_name_that_no_queue_can_have_is_refused_for_good(server: PrivateSQS) -> None:
    queue = new_queue(server)
    wrong, sent = send(connect(server), message("orders.placed", 1), message(queue, 2))
    assert isinstance(wrong, Refused)
    assert wrong.is_permanent
    assert "expected the name of a queue" in wrong.reason
    assert sent == Sent()


def test_a_queue_of_another_account_is_asked_for_there(server: PrivateSQS, front: Front) -> None:
    queue = new_queue(server)
    assert send(connect(front), message(f"000000000000/{queue}", 1)) == [Sent()]
    assert front.given["GetQueueUrl"] == {"QueueName": queue, "QueueOwnerAWSAccountId": "000000000000"}


@pytest.mark.parametrize("error", [(503, "ServiceUnavailable"), (400, "RequestThrottled"), (500, "x"), (429, "")])
def test_throttling_and_faults_of_the_server_are_no_fault_of_a_message(
    server: PrivateSQS, front: Front, error: tuple[int, str]
) -> None:
    queue = new_queue(server)
    sender, source = connect(front).open_sender(), open_queue(front, queue)
    front.errors = {"SendMessageBatch": error, "ReceiveMessage": error}
    outcomes = sender.send([message(queue, number) for number in range(25)])
    assert [type(outcome) for outcome in outcomes] == [NotSent] * 25
    assert front.asked["SendMessageBatch"] == 1, "no second attempt, and no second batch"
    with pytest.raises(BrokerDownError):
        source.receive(limit=1, wait_seconds=0.0)
    front.errors = {}
    assert sender.send([message(queue, 1)]) == [Sent()]
    sender.close()
    source.close()


@pytest.mark.parametrize(
    ("code", "is_senders", "expected"),
    [
        ("InternalError", False, NotSent(reason="InternalError: said")),
        ("AnotherFault", False, NotSent(reason="AnotherFault: said")),
        ("RequestThrottled", True, NotSent(reason="RequestThrottled: said")),
        ("AWS.SimpleQueueService.UnsupportedOperation", True, Refused(reason="UnsupportedOperation: said")),
        ("InvalidMessageContents", True, Refused(reason="InvalidMessageContents: said", is_permanent=True)),
    ],
)
def test_a_message_that_failed_in_a_batch_is_judged_by_whose_fault_it_is(
    code: str, is_senders: bool, expected: SendOutcome
) -> None:
    assert outcome_of({"Id": "0", "Code": code, "Message": "said", "SenderFault": is_senders}) == expected


def test_what_went_before_a_fault_is_sent(server: PrivateSQS, front: Front) -> None:
    good, bad = new_queue(server), new_queue(server)
    front.errors = {f"SendMessageBatch/{bad}": (503, "ServiceUnavailable")}
    outcomes = send(connect(front), message(good, 1), message(bad, 2), message(good, 3))
    assert [type(outcome) for outcome in outcomes] == [Sent, NotSent, Sent]


def test_a_queue_that_is_closed_to_these_credentials_refuses_its_messages_alone(
    server: PrivateSQS, front: Front
) -> None:
    closed, there = new_queue(server), new_queue(server)
    front.errors = {
        f"{operation}/{closed}": (400, "AccessDeniedException")
        for operation in ("SendMessageBatch", "ReceiveMessage", "GetQueueAttributes")
    }
    refused, sent = send(connect(front), message(closed, 1), message(there, 2))
    assert isinstance(refused, Refused)
    assert (refused.is_permanent, "AccessDenied" in refused.reason, sent) == (False, True, Sent())
    source = open_queue(front, closed)
    with pytest.raises(ConfigurationError, match=f"expected credentials that may read the queue '{closed}'"):
        source.receive(limit=1, wait_seconds=0.0)
    assert source.backlog() is None
    source.close()


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredTokenException"])
def test_rejected_credentials_are_a_configuration_error(server: PrivateSQS, front: Front, code: str) -> None:
    queue = new_queue(server)
    front.errors = dict.fromkeys(("ListQueues", "GetQueueUrl"), (403, code))
    driver = connect(front)
    for connecting in (driver.open_sender, lambda: driver.open_source(subscribe(queue))):
        with pytest.raises(ConfigurationError, match=rf"BROKERS'\]\['aws'\]: expected a region.*{code}") as caught:
            connecting()
        assert SECRET in str(caught.value)
        assert SECRET not in broker_settings(front.port).hide(caught.value)


def test_credentials_that_may_not_list_queues_may_send(server: PrivateSQS, front: Front) -> None:
    front.errors = {"ListQueues": (403, "AccessDenied")}
    assert send(connect(front), message(new_queue(server), 1)) == [Sent()]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict.fromkeys(CREDENTIALS, None), "Unable to locate credentials"),
        ({"aws_secret_access_key": None}, "aws_secret_access_key"),
        ({"profile_name": "nobody"}, "nobody"),
    ],
)
def test_missing_credentials_are_a_configuration_error(
    server: PrivateSQS, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    with pytest.raises(ConfigurationError, match=r"BROKERS'\]\['aws'\]: expected a region and credentials") as caught:
        connect(server, **options).open_sender()
    assert said in str(caught.value)


def test_credentials_of_the_environment_are_found(server: PrivateSQS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    nothing = dict.fromkeys(CREDENTIALS, None)
    assert send(connect(server, **nothing), message(new_queue(server), 1)) == [Sent()]


# ---- settings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "sqs://localhost:4566"}, "a server's address goes under 'options' as 'endpoint_url'"),
        ({"url": "sqs://key:s3cret@eu-central-1"}, "credentials as 'aws_access_key_id'"),
        ({"url": "sqs://eu-central-1/queue"}, "expected a region, such as sqs://eu-central-1"),
        ({"url": "sqs://eu-central-1,us-east-1"}, "expected a region"),
        ({"redeliver_after": timedelta(days=1)}, "SQS hides a message for up to 12 hours"),
    ],
)
def test_wrong_settings_are_an_error_that_names_them(changes: dict[str, Any], said: str) -> None:
    driver = driver_of(broker_settings(1, **changes))
    for connecting in (driver.open_sender, lambda: driver.check(subscribe("orders"))):
        if connecting != driver.open_sender or "url" in changes:
            with pytest.raises(ConfigurationError) as caught:
                connecting()
            assert said in str(caught.value)
            assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint": "http://localhost"}, "unknown key 'endpoint'; did you mean endpoint_url?"),
        ({"endpoint_url": "localhost:4566"}, "['endpoint_url']: expected a scheme and host"),
        ({"aws_secret_access_key": b"s3cret"}, "['aws_secret_access_key']: expected a text, got bytes"),
        ({"redeliver_after": 0}, "['redeliver_after']: expected"),
    ],
)
def test_a_wrong_option_is_an_error_with_advice(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        broker_settings(1, **options)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bind": (("a", "b"),)}, "bind: SQS has no exchanges"),
        ({"group": "shipping"}, "group: a queue of SQS has no groups, got 'shipping'"),
        ({"start": "latest"}, "start: a queue of SQS is read from its first message"),
        ({"name": "orders.placed"}, "name: expected the name of a queue"),
        ({"name": "o" * 81}, "name: expected the name of a queue"),
        ({"name": "12/orders"}, "name: expected the name of a queue"),
    ],
)
def test_a_source_that_cannot_be_is_an_error_without_network(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        driver_of(broker_settings(1)).check(replace(subscribe("orders"), **options))
    assert said in str(caught.value)


# ---- forks


def test_a_forked_process_makes_a_connection_of_its_own(server: PrivateSQS) -> None:
    queue = new_queue(server)
    sender = connect(server).open_sender()
    assert isinstance(sender, SqsSender)
    inherited = sender._connection._client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        try:
            is_sent = sender.send([message(queue, 1)]) == [Sent()]
            os._exit(0 if is_sent and sender._connection._client is not inherited else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sender.send([message(queue, 2)]) == [Sent()]
    assert sender._connection._client is inherited
    sender.close()
