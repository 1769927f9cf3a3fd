"""What only Redis does: its positions, groups, limits of size, errors, and entries that others have added."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.drivers.redis.positions import MAX_NUMBER, before, behind, order_of
from django_jobs.brokers.drivers.redis.stream import MAX_COUNTED
from django_jobs.brokers.interface import (
    BrokerDownError,
    Driver,
    LogSource,
    NotSent,
    QueueSource,
    Refused,
    Sent,
    Subscription,
)
from django_jobs.conf.brokers import as_brokers
from django_jobs.exceptions import ConfigurationError
from tests.private.base import running
from tests.private.redis import PrivateRedis

from .test_drivers import collect, message, send

GROUP = "shipping"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateRedis]:
    with running(PrivateRedis()) as server:
        yield server


@pytest.fixture
def client(server: PrivateRedis) -> Iterator[redis.Redis]:
    """A client of the empty server."""
    with server.connect() as client:
        client.flushall()
        yield client


def connect(server: PrivateRedis, *, login: str = "", **options: Any) -> Driver:
    url = f"redis://{login}127.0.0.1:{server.port}/0"
    return driver_of(as_brokers("BROKERS", {"events": {"url": url, "options": options}})["events"])


def open_log(driver: Driver, stream: str = "orders") -> LogSource:
    source = driver.open_source(Subscription(broker="events", name=stream, group=""))
    assert source.kind == "log"
    return source


def open_queue(driver: Driver, stream: str = "orders", *, start: Any = "earliest") -> QueueSource:
    source = driver.open_source(Subscription(broker="events", name=stream, group=GROUP, start=start))
    assert source.kind == "queue"
    return source


@pytest.mark.parametrize("position", ["0-1", "5-0", "5-7", f"5-{MAX_NUMBER}"])
def test_positions_are_followed_by_the_next_possible_one(position: str) -> None:
    assert before(behind(position)) == position
    assert behind(before(position)) == position
    assert order_of(before(position)) < order_of(position) < order_of(behind(position))


def test_a_stream_is_created_only_if_the_options_say_so(server: PrivateRedis, client: redis.Redis) -> None:
    (refused,) = send(connect(server), message("orders", 1))
    assert refused == Refused(reason="there is no stream 'orders'")
    with pytest.raises(
        ConfigurationError, match=r"BROKERS'\]\['events'\]: expected a stream 'orders', .* there is none"
    ):
        open_log(connect(server))
    creating = connect(server, create_streams=True)
    for source in (open_log(creating), open_queue(creating)):
        source.close()
    assert send(creating, message("orders", 1), message("others", 2)) == [Sent(), Sent()]
    client.set("text", "x")
    with pytest.raises(ConfigurationError, match="expected a stream 'text', but it is a string"):
        open_log(creating, "text")
    (wrong,) = send(creating, message("text", 1))
    assert isinstance(wrong, Refused)
    assert "WRONGTYPE" in wrong.reason


def test_a_stream_keeps_about_max_length_messages(server: PrivateRedis, client: redis.Redis) -> None:
    limited = connect(server, create_streams=True, max_length=100)
    send(limited, *(message("orders", number) for number in range(500)))
    assert 100 <= client.xlen("orders") < 300


def test_a_header_cannot_take_the_name_of_a_field(server: PrivateRedis, client: redis.Redis) -> None:
    given = message("orders", 1)
    wrong = type(given)(destination="orders", body=b"{}", attributes=given.attributes, headers={"body": "x"})
    refused, sent = send(connect(server, create_streams=True), wrong, given)
    assert isinstance(refused, Refused)
    assert refused.is_permanent
    assert "'body'" in refused.reason
    assert sent == Sent()


def test_an_entry_of_others_is_an_object_of_its_fields(server: PrivateRedis, client: redis.Redis) -> None:
    client.xadd("orders", {"order_id": "7", "note": "grün", "raw": b"\xff"})
    log = open_log(connect(server))
    (found,) = log.read({"0": "0-1"}, limit=5, wait_seconds=0)
    log.close()
    assert json.loads(found.body) == {"order_id": "7", "note": "grün"}
    assert found.sent_at is not None
    assert abs(datetime.now(UTC) - found.sent_at) < timedelta(minutes=5)


def test_the_lag_is_exact_up_to_ten_thousand_and_about_right_above(server: PrivateRedis, client: redis.Redis) -> None:
    total = 3 * MAX_COUNTED
    with client.pipeline(transaction=False) as pipeline:
        for number in range(total):
            pipeline.xadd("orders", {"body": "{}"}, id=f"{number + 1}-0")
        pipeline.execute()
    log = open_log(connect(server))
    bounds = log.range_of("0")
    assert (bounds.first, bounds.end) == ("1-0", f"{total}-1")
    assert log.lag("0", bounds.first) == total
    assert log.lag("0", f"{total - 50 + 1}-0") == 50
    assert log.lag("0", bounds.end) == 0
    assert log.lag("0", f"{total // 3}-0") == pytest.approx(2 * total / 3, rel=0.01)
    client.xtrim("orders", maxlen=5, approximate=False)
    found = log.read({"0": "7-0"}, limit=10, wait_seconds=0)
    assert [one.position for one in found] == [f"{number}-0" for number in range(total - 4, total + 1)]
    log.close()


def test_a_group_begins_where_start_says(server: PrivateRedis, client: redis.Redis) -> None:
    client.xadd("orders", {"body": "{}"})
    late = open_queue(connect(server), start="latest")
    assert not late.receive(limit=5, wait_seconds=0)
    client.xadd("orders", {"body": "{}"})
    assert len(collect(lambda limit: late.receive(limit=limit, wait_seconds=1.0), 1)) == 1
    late.close()


def test_what_a_dead_consumer_left_is_taken_over_after_a_time(server: PrivateRedis, client: redis.Redis) -> None:
    client.xadd("orders", {"body": "{}"})
    dead = open_queue(connect(server))
    (taken,) = dead.receive(limit=5, wait_seconds=1.0)
    # Its process is gone: nobody closes it.
    patient, hasty = open_queue(connect(server)), open_queue(connect(server, redeliver_after=0.001))
    assert not patient.receive(limit=5, wait_seconds=0)
    (again,) = collect(lambda limit: hasty.receive(limit=limit, wait_seconds=0.1), 1)
    assert again.message_id == taken.message_id
    # The dead one wakes and closes: it must not take away what is another's by now.
    dead.close()
    assert not patient.receive(limit=5, wait_seconds=0)
    hasty.acknowledge([again])
    hasty.close()
    assert client.xpending("orders", GROUP)["pending"] == 0
    patient.close()


def test_a_closed_consumer_leaves_no_trace_and_loses_nothing(server: PrivateRedis, client: redis.Redis) -> None:
    for _ in range(3):
        client.xadd("orders", {"body": "{}"})
    first = open_queue(connect(server))
    messages = first.receive(limit=2, wait_seconds=1.0)
    first.acknowledge(messages[:1])
    assert first.backlog() == 2
    first.close()
    second = open_queue(connect(server))
    found = collect(lambda limit: second.receive(limit=limit, wait_seconds=1.0), 2)
    assert found[0].message_id == messages[1].message_id
    second.acknowledge(found)
    second.close()
    assert client.xpending("orders", GROUP)["pending"] == 0
    names = {consumer["name"] for consumer in client.xinfo_consumers("orders", GROUP)}
    assert names <= {b"released"}


def test_a_wrong_password_is_named_without_being_shown(server: PrivateRedis, client: redis.Redis) -> None:
    client.acl_setuser("ada", enabled=True, passwords=["+right"], keys=["*"], commands=["+@all"])
    settings = as_brokers("BROKERS", {"events": {"url": f"redis://ada:wrong-one@127.0.0.1:{server.port}/0"}})["events"]
    with pytest.raises(ConfigurationError, match=r"BROKERS'\]\['events'\]: expected a user that Redis admits") as error:
        driver_of(settings).open_sender()
    assert "wrong-one" not in settings.hide(error.value)
    driver = connect(server, login="ada:right@")
    driver.open_sender().close()


@pytest.mark.parametrize(
    ("option", "value", "harmless"), [("maxmemory", "1", "0"), ("min-replicas-to-write", "3", "0")]
)
def test_a_server_that_takes_nothing_for_now_refuses_no_message(
    server: PrivateRedis, client: redis.Redis, option: str, value: str, harmless: str
) -> None:
    client.xgroup_create("orders", "any", mkstream=True)
    client.config_set(option, value)
    try:
        (outcome,) = send(connect(server), message("orders", 1))
        assert isinstance(outcome, NotSent)
    finally:
        client.config_set(option, harmless)


def test_several_hosts_are_refused() -> None:
    settings = as_brokers("BROKERS", {"events": {"url": "redis://one:6379,two:6379/0"}})["events"]
    with pytest.raises(ConfigurationError, match="expected one host, got 2"):
        driver_of(settings).check(Subscription(broker="events", name="orders", group=""))


def test_nobody_answers() -> None:
    settings = as_brokers("BROKERS", {"events": {"url": "redis://127.0.0.1:1/0"}})["events"]
    with pytest.raises(BrokerDownError):
        driver_of(settings).open_sender()


def test_deleted_entries_are_a_gap(server: PrivateRedis, client: redis.Redis) -> None:
    ids = [client.xadd("orders", {"body": b"{}"}).decode() for _ in range(3)]
    log = open_log(connect(server))
    end = log.range_of("0").end
    assert not log.is_gap("0", ids[1], end)
    client.xdel("orders", *ids[1:])
    assert log.is_gap("0", ids[1], end)
    assert not log.is_gap("0", ids[0], end)
    log.close()
