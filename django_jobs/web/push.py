"""``POST push/NAME/``: a message that Google Pub/Sub pushes becomes a job of what consumes its subscription.

The status code is the answer: 204, the message is committed and never comes again; anything else, and Pub/Sub sends it
again after a pause that grows. The body says nothing that the sender does not know; the reason is in the log.
"""

from __future__ import annotations

import logging

from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from ..brokers.drivers.pubsub.envelope import MAX_BYTES, Pushed, read_envelope
from ..brokers.drivers.pubsub.names import project_of, short_name
from ..brokers.drivers.pubsub.signing_keys import KeysUnavailableError
from ..brokers.drivers.pubsub.tokens import AccountRefusedError, TokenRefusedError, find_token_error
from ..brokers.pushing import NotNowError, find_pushed, take_pushed
from ..conf import get_settings
from ..conf.brokers import BrokerSettings
from ..conf.database import current_database

logger = logging.getLogger("django_jobs.brokers")

NO_STORE = {"Cache-Control": "no-store"}


class _Refused(Exception):
    """Ends the view with a status code."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.response = HttpResponse(status=status, headers={**NO_STORE, **headers})


@csrf_exempt  # no cookie is read, so another site's page cannot use one: the token is a header
@require_POST
def push(request: HttpRequest, name: str) -> HttpResponse:
    """Take the message of a push, and answer 204 once it is committed."""
    try:
        settings = _find_broker(name)
        _authenticate(request, settings)
        _take(settings, _read(request, settings))
    except _Refused as refused:
        return refused.response
    return HttpResponse(status=204, headers=NO_STORE)


for _alias in connections:  # also with ATOMIC_REQUESTS the commit is the view's own, and 204 follows it
    push = transaction.non_atomic_requests(using=_alias)(push)


def _find_broker(name: str) -> BrokerSettings:
    settings = get_settings().brokers.get(name)
    if settings is None or not settings.is_pushed:
        raise _Refused(404)
    return settings


def _authenticate(request: HttpRequest, settings: BrokerSettings) -> None:
    """Refuse a request whose token is not that of the broker's settings, before its body is read."""
    error = find_token_error(settings, request.headers.get("Authorization", ""))
    if isinstance(error, TokenRefusedError):
        logger.warning("%s: a push is refused: %s", settings.name, error)
        raise _Refused(401, **{"WWW-Authenticate": "Bearer"})
    if isinstance(error, AccountRefusedError):
        logger.warning("%s: a push is refused: %s", settings.name, error)
        raise _Refused(403)
    if isinstance(error, KeysUnavailableError):
        logger.warning("%s: a push cannot be checked and is to be sent again: %s", settings.name, error)
        raise _Refused(503)
    if error is not None:
        raise error


def _read(request: HttpRequest, settings: BrokerSettings) -> Pushed:
    """Return the message. Not by ``request.body``: DATA_UPLOAD_MAX_MEMORY_SIZE is for forms, and too small for this."""
    try:
        body = request.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            logger.warning("%s: a push has more than %d bytes", settings.name, MAX_BYTES)
            raise _Refused(413)
        return read_envelope(body)
    except (ValueError, BadRequest, UnreadablePostError) as error:
        logger.warning("%s: a push is not what Pub/Sub sends (a wrapped message): %s", settings.name, error)
        raise _Refused(400) from None


def _take(settings: BrokerSettings, pushed: Pushed) -> None:
    name = short_name(project_of(settings), "subscriptions", pushed.subscription)
    consumption = find_pushed(settings, name)
    if consumption is None:
        logger.error("%s: no job consumes the subscription %r, which is pushed here", settings.name, name[:300])
        raise _Refused(404)
    try:
        take_pushed(settings, consumption, pushed.message, using=current_database())
    except NotNowError as error:
        logger.info("%s: a pushed message is to be sent again: %s", consumption.label, error)
        raise _Refused(503) from None
    except (OperationalError, InterfaceError) as error:
        logger.warning("%s: a pushed message is to be sent again: no database: %s", consumption.label, error)
        raise _Refused(503) from None
