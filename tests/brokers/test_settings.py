"""The setting BROKERS and ``@consumes``: each mistake is an error with advice, and no password is ever shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_jobs import checks, job, registry
from django_jobs.brokers import NewMessage, consumes, publish
from django_jobs.brokers.interface import import_client
from django_jobs.brokers.subscriptions import consumptions
from django_jobs.conf import get_settings, read_settings
from django_jobs.conf.broker_schemes import BrokerScheme, register_scheme
from django_jobs.conf.readers import as_count
from django_jobs.exceptions import ArgumentsError, ConfigurationError, SerializationError
from django_jobs.policy.broker_url import parse_broker_url

from . import fake

SECRET = "s3cr%40t-word"


@pytest.fixture(autouse=True)
def _schemes() -> None:
    fake.register()
    register_scheme(
        BrokerScheme(
            name="strict",
            driver="tests.brokers.fake.FakeDriver",
            example="strict://host:1",
            client="no_such_client",
            extra="strict",
            options={"prefetch": as_count},
        )
    )


@pytest.mark.parametrize(
    ("brokers", "said"),
    [
        ([], "expected a dict of brokers by name"),
        ({"a/b": {"url": "database:"}}, "without comma and slash"),
        ({"a": "database:"}, 'expected a dict such as {"url"'),
        ({"a": {"options": {}}}, 'expected a dict such as {"url"'),
        ({"a": {"url": 7}}, "expected a URL, got int"),
        ({"a": {"url": "localhost"}}, "without a scheme"),
        ({"a": {"url": "strikt://host"}}, "unknown scheme 'strikt'; did you mean 'strict'?"),
        ({"a": {"url": "strict://"}}, "such as strict://host:1, got one without a host"),
        ({"a": {"url": "strict://h", "option": {}}}, "did you mean options?"),
        ({"a": {"url": "strict://h", "options": {"prefetsh": 1}}}, "did you mean prefetch?"),
        ({"a": {"url": "strict://h", "options": {"prefetch": 0}}}, "expected a whole number of at least 1"),
        ({"a": {"url": "strict://h", "options": []}}, "expected a dict of options by name"),
        ({"a": {"url": "strict://h", "on_dead_message": "stop"}}, "expected 'continue' or 'hold_key', got 'stop'"),
        ({"a": {"url": "database:", "on_dead_message": "hold_key"}}, "nothing is sent on a broker database:"),
    ],
)
def test_a_wrong_broker_is_an_error_with_advice(brokers: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"BROKERS": brokers})
    assert said in str(caught.value)
    assert "BROKERS" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"strict://user:{SECRET}@host/vhost?token={SECRET}",
        f"wrong://user:{SECRET}@host",
        f"strict:user:{SECRET}@host",
        f"strict://user:{SECRET}@",
    ],
)
def test_a_password_is_shown_nowhere(url: str) -> None:
    given = {"BROKERS": {"a": {"url": url, "options": {"prefetch": 1}}}}
    try:
        settings = read_settings(given)
    except ConfigurationError as error:
        shown = str(error)
    else:
        broker = settings.brokers["a"]
        shown = f"{settings!r} {broker!r} {broker} {broker.url!r} {broker.url}"
        shown += broker.hide(f"cannot connect to {url} as user with s3cr@t-word")
        assert broker.url.password == "s3cr@t-word"
    assert SECRET not in shown
    assert "s3cr@t" not in shown


def test_the_parts_of_a_url() -> None:
    url = parse_broker_url("kafka://ada:x%2Fy@10.0.0.1:9092,10.0.0.2:9092/a/b?c=d")
    assert (url.scheme, url.user, url.password, url.path) == ("kafka", "ada", "x/y", "a/b")
    assert (url.hosts, dict(url.query)) == (("10.0.0.1:9092", "10.0.0.2:9092"), {"c": "d"})
    assert str(url) == "kafka://ada:***@10.0.0.1:9092,10.0.0.2:9092/a/b?c=***"
    assert parse_broker_url("database:").hosts == ()


def test_a_missing_client_is_an_error_that_names_the_extra() -> None:
    settings = read_settings({"BROKERS": {"a": {"url": "strict://h"}}})
    with pytest.raises(ConfigurationError, match=r"pip install 'django-jobs-engine\[strict\]'"):
        import_client(settings.brokers["a"].scheme)


@pytest.fixture
def marked() -> Iterator[list[Any]]:
    """Forget the jobs that a test defines."""
    made: list[Any] = []
    yield made
    for definition in made:
        registry._definitions.pop(definition.name)
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gruop": "a"}, "did you mean group?"),
        ({"start": "now"}, "start: expected 'earliest' or 'latest', got 'now'"),
        ({"on_poison": "drop"}, "on_poison: expected 'dead_letter' or 'stop'"),
        ({"bind": "orders"}, "bind: expected pairs"),
        ({"deduplicate": "yes"}, "deduplicate: expected True or False"),
        ({"max_waiting": 0}, "max_waiting: expected a whole number of at least 1"),
        ({"decode": "json"}, "decode: expected a function"),
        ({"group": ""}, "group: expected 1 to 100 printable characters"),
    ],
)
def test_a_wrong_option_of_consumes_is_an_error_with_advice(options: dict[str, Any], said: str) -> None:
    def ship(order_id: int) -> None:
        pass

    with pytest.raises(ConfigurationError) as caught:
        consumes("events", "orders", **options)(ship)
    assert said in str(caught.value)
    assert "@consumes('events', 'orders') of" in str(caught.value)


def test_checks_tell_what_is_wrong_with_consumes(settings: Any, marked: list[Any]) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "fakelog:///f"}, "inside": {"url": "database:"}}}

    @job(name="one")
    @consumes("events", "orders")
    @consumes("inside", "orders.*")
    def one(order_id: int) -> None:
        pass

    @job(name="two")
    @consumes("events", "orders")
    @consumes("inside", "orders.*")
    def two(order_id: int) -> None:
        pass

    @job(name="three")
    @consumes("evnts", "orders")
    @consumes("events", "other", bind=[("a", "b")])
    @consumes("inside", "other", group="g")
    def three(order_id: int) -> None:
        pass

    @job(name="four")
    @consumes("events", "positional")
    def four(order_id: int, /) -> None:
        pass

    marked += [one, two, three, four]
    messages = {(message.id, message.msg.partition("@consumes of ")[2]) for message in checks.check_consumers()}
    assert {number for number, _ in messages} == {"django_jobs.E006"}
    texts = sorted(text for _, text in messages)
    assert len(texts) == 5, texts
    assert any("'two'" in text and "consumed by job 'one' too" in text for text in texts)
    assert any("no broker 'evnts'; did you mean 'events'?" in text for text in texts)
    assert any("bind: a fake broker has no exchanges" in text for text in texts)
    assert any("group: the broker 'inside' is this project's database" in text for text in texts)
    assert any("no message fits" in text and "is positional-only" in text for text in texts)


def test_consumes_may_stand_above_job(settings: Any, marked: list[Any]) -> None:
    @consumes("events", "orders")
    @job(name="above")
    def above(order_id: int) -> None:
        pass

    marked.append(above)
    assert [(one.label, one.definition.name) for one in consumptions("events")] == [("events/orders", "above")]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("evnts", "orders", {}), ConfigurationError, "did you mean 'events'?"),
        (("events", "", {}), ArgumentsError, "destination: expected 1 to 255"),
        (("events", "orders", object()), SerializationError, "body: expected what JSON can carry"),
        (("events", "orders", float("nan")), SerializationError, "body: expected what JSON can carry"),
    ],
)
def test_a_wrong_message_is_an_error_of_its_publisher(
    settings: Any, arguments: tuple[Any, ...], error: type[Exception], said: str
) -> None:
    settings.DJANGO_JOBS = {"BROKERS": {"events": {"url": "fakelog:///f"}}}
    with pytest.raises(error) as caught:
        publish(*arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize("options", [{"key": ""}, {"key": 7}, {"headers": {"a": 1}}, {"headers": []}, {"type": 3}])
def test_a_wrong_part_of_a_message_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentsError, match=next(iter(options))):
        NewMessage({}, **options)
