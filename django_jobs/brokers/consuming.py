"""The process of ``manage.py jobs consume``: a thread for each source, until a signal stops it."""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from ..conf.database import current_database
from ..exceptions import ConfigurationError
from ..policy.hints import find_near
from ..worker.process.signal_pipe import SignalPipe
from ..worker.system.exit_codes import EXIT_DONE, EXIT_FAILED
from ..worker.threads.db_outage import DatabaseOutage
from ..worker.threads.loop import Loop, LoopSpec
from .connecting import find_settings
from .consumer import SourceConsumer
from .interface import BrokerDownError
from .subscriptions import Consumption, consumptions, find_problems

logger = logging.getLogger("django_jobs.brokers")


def select_consumptions(names: Sequence[str]) -> list[Consumption]:
    """Return the sources that are named: by broker, by ``broker/name``, or by the name of a job; all without names.

    Those of brokers ``database:`` are left out, whose messages are jobs from the start, and those that are pushed to
    the web server. Raises ConfigurationError for a name that selects nothing, and if anything is wrong with an
    ``@consumes``.
    """
    if problems := find_problems():
        raise ConfigurationError("\n".join(problems))
    remote, pushed = [], set()
    for one in consumptions():
        settings = find_settings(one.subscription.broker)
        if settings.is_pushed:
            pushed |= _names_of(one)
        elif not settings.scheme.is_local:
            remote.append(one)
    if not names:
        return remote
    by_name = {one: _names_of(one) for one in remote}
    known = sorted({name for known in by_name.values() for name in known})
    for name in names:
        if name in pushed and name not in known:
            raise ConfigurationError(
                f"nothing is consumed from {name!r}: its messages are pushed to this project's web server, because its"
                " broker has the option 'push'"
            )
        if name not in known:
            near = find_near(name, known)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(known) or 'none'}"
            raise ConfigurationError(f"nothing is consumed from {name!r}; {hint}")
    return [one for one, known_as in by_name.items() if known_as & set(names)]


def _names_of(one: Consumption) -> set[str]:
    return {one.subscription.broker, one.label, one.definition.name}


def consume(selected: Sequence[Consumption], *, say: Callable[[str], object]) -> int:
    """Read the sources until SIGTERM or SIGINT, or until a thread dies; return the exit code.

    Connects to each before it begins. Raises ConfigurationError for what is wrong at a broker; one that is down is
    waited for.
    """
    using, dead = current_database(), threading.Event()
    consumers = [SourceConsumer(one, using=using) for one in selected]

    def on_death(_role: str) -> None:
        dead.set()
        signals.poke()

    loops: list[Loop] = []
    with ExitStack() as closing:
        # A handler would be called by this thread alone, which a signal that another thread gets does not wake.
        signals = closing.enter_context(contextlib.closing(SignalPipe(catch=[signal.SIGTERM, signal.SIGINT])))
        for consumer in consumers:
            closing.callback(consumer.close)
            _connect(consumer)
        for consumer in consumers:
            loop = _loop(consumer, using, on_death)
            loops.append(loop)
            loop.start()
        say(f"consuming {', '.join(consumer.label for consumer in consumers)}")
        select.select([signals], [], [])
        say("stopping")
        for loop in loops:
            loop.stop()
        for loop in loops:
            loop.join()
    return EXIT_FAILED if dead.is_set() else EXIT_DONE


def _connect(consumer: SourceConsumer) -> None:
    """Connect, so that what is wrong is said at the start; a broker that is down is tried again by the thread."""
    try:
        consumer.connect()
    except BrokerDownError as error:
        logger.warning("%s: the broker does not answer: %s", consumer.label, error)


def _loop(consumer: SourceConsumer, using: str, on_death: Callable[[str], None]) -> Loop:
    spec = LoopSpec(name=f"consumer of {consumer.label}", step=consumer.step)
    return Loop(spec, using=using, outage=DatabaseOutage(), on_death=on_death)
