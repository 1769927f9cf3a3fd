"""Brokers over TLS: a certificate that can be verified, and one that cannot, whose error says what to set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.interface import Driver, Sent, Subscription
from django_jobs.conf.brokers import as_brokers
from django_jobs.exceptions import ConfigurationError
from tests.private.base import free_port, running
from tests.private.certificate import Certificate, make_certificate
from tests.private.kafka import PrivateKafka
from tests.private.tls_proxy import TlsProxy

from .contract import Harness
from .rabbitmq_queues import RabbitHarness
from .redis_streams import RedisHarness
from .test_drivers import message, read_all, send

pytestmark = pytest.mark.slow


def make(url: str, **options: Any) -> Driver:
    return driver_of(as_brokers("BROKERS", {"secure": {"url": url, "options": options}})["secure"])


@pytest.fixture
def server(running_broker: Harness) -> RabbitHarness | RedisHarness:
    assert isinstance(running_broker, (RabbitHarness, RedisHarness))
    return running_broker


@pytest.mark.parametrize("running_broker", ["rabbitmq", "redis-stream"], indirect=True)
def test_a_certificate_is_verified_by_the_authority_that_the_options_name(
    server: RabbitHarness | RedisHarness, topic: str, tmp_path: Path
) -> None:
    trusted = make(server.tls_url, ca_file=str(server.certificate.file))
    assert send(trusted, message(topic, 1)) == [Sent()]
    others = make_certificate(tmp_path)
    for untrusting in (make(server.tls_url), make(server.tls_url, ca_file=str(others.file))):
        with pytest.raises(ConfigurationError, match=r"\['secure'\]: expected .*certificate.*\"ca_file\""):
            untrusting.open_sender()


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def kafka(certificate: Certificate) -> Iterator[PrivateKafka]:
    """A server whose clients connect to a port that speaks TLS, with a topic ``orders``."""
    server = PrivateKafka()
    with closing(TlsProxy(certificate, server.port)) as proxy:
        server.advertised_port = proxy.port
        server.client_options = {"security.protocol": "SSL", "ssl.ca.location": str(certificate.file)}
        with running(server):
            server.create_topic("orders")
            yield server


def test_kafka_is_sent_to_and_read_from_over_tls(kafka: PrivateKafka) -> None:
    driver = make(f"kafka://127.0.0.1:{kafka.advertised_port}", **kafka.client_options)
    assert send(driver, *(message("orders", number) for number in range(3))) == [Sent()] * 3
    log = driver.open_source(Subscription(broker="secure", name="orders", group=""))
    assert [one.body for one in read_all(log, 3)] == [b'{"number": %d}' % number for number in range(3)]
    log.close()


def test_a_certificate_that_kafka_does_not_know_is_an_error_that_names_the_option(
    certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = make_certificate(tmp_path_factory.mktemp("others"))
    with closing(TlsProxy(certificate, free_port())) as proxy:
        for trust in ({}, {"ssl.ca.location": str(others.file)}):
            driver = make(f"kafka://127.0.0.1:{proxy.port}", **{"security.protocol": "SSL", **trust})
            with pytest.raises(
                ConfigurationError, match=r"\['secure'\]: expected .*\"ssl\.ca\.location\".* verify failed"
            ):
                driver.open_sender()
