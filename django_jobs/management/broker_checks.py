"""Checks of ``manage.py jobs doctor`` about brokers: what is down or stopped, and whether this host can use each."""

from __future__ import annotations

from collections.abc import Iterator

from ..brokers.connecting import driver_of
from ..brokers.interface import BrokerDownError
from ..brokers.subscriptions import consumptions
from ..conf import get_settings
from ..conf.brokers import BrokerSettings
from ..exceptions import ConfigurationError
from ..policy.doctor import Finding, Severity
from ..policy.service_health import find_broker_problems
from ..store.messages.status import read_broker_facts
from .rows import sentence_text

ADVICE = {
    "broker_down": (
        "No message is lost, and none needs to be sent by hand. See to the broker and the network between;"
        " 'manage.py jobs brokers' has its last error. Workers look again after growing pauses, at most a minute."
    ),
    "unread_source": (
        "See to the broker and the network between; 'manage.py jobs brokers' has its last error. A source that nobody"
        " reads any more: pause it by 'manage.py jobs brokers --pause SOURCE'."
    ),
    "stopped_source": (
        "'manage.py jobs brokers' has the reason. Correct the function or what sends such messages, then 'manage.py"
        " jobs brokers --resume SOURCE'."
    ),
    "held_by_dead": (
        "Correct what the broker refused, then redrive the dead messages ('manage.py jobs retry'), or resolve their"
        ' dead letters, which gives them up: the broker\'s setting says "on_dead_message": "hold_key".'
    ),
}


def check_brokers() -> Iterator[Finding]:
    """Yield findings about all brokers of the setting BROKERS; connects to each, and sends and reads nothing."""
    for sentence in find_broker_problems(read_broker_facts()):
        yield _problem(sentence_text(sentence), ADVICE[sentence.key])
    for settings in get_settings().brokers.values():
        if not settings.scheme.is_local:
            yield from _check_broker(settings)


def _check_broker(settings: BrokerSettings) -> Iterator[Finding]:
    """Yield what keeps this host from sending to a broker, and from opening each source that jobs consume."""
    try:
        driver = driver_of(settings)
        driver.open_sender().close()
        for consumption in consumptions(settings.name):
            try:
                driver.open_source(consumption.subscription).close()
            except ConfigurationError as error:
                yield _wrong(settings, error)
    except ConfigurationError as error:
        yield _wrong(settings, error)
    except BrokerDownError as error:
        what = f"the broker {settings.name!r} does not answer this host: {settings.hide(error)}"
        yield _problem(what, "Is it up, and do host, port, TLS and firewall fit to the URL in BROKERS?")


def _wrong(settings: BrokerSettings, error: ConfigurationError) -> Finding:
    return _problem(settings.hide(error), "Correct the setting, or create at the broker what it names.")


def _problem(what: str, advice: str) -> Finding:
    return Finding(severity=Severity.PROBLEM, about="brokers", what=what, advice=advice)
