"""Kinds of HTTP problems (RFC 9457), each with its type, status code and title. No I/O."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus

from ..policy.states import State

TYPE_PREFIX = "urn:problem-type:django-jobs:"


class ProblemKind(Enum):
    """A kind of problem: the last part of its ``type``, its status code, its title."""

    # The address of a job
    BAD_ADDRESS = ("bad-address", HTTPStatus.NOT_FOUND, "There is no such address")
    ADDRESS_EXPIRED = ("address-expired", HTTPStatus.GONE, "The address has expired")
    NOT_PERMITTED = ("not-permitted", HTTPStatus.FORBIDDEN, "You may not see this job")
    JOB_GONE = ("job-gone", HTTPStatus.NOT_FOUND, "The job no longer exists")
    WRONG_WAIT = ("wrong-wait", HTTPStatus.BAD_REQUEST, "The time to wait is not valid")
    NEEDS_ASGI = ("needs-asgi", HTTPStatus.NOT_IMPLEMENTED, "This server has no event streams")
    TOO_MANY_STREAMS = ("too-many-streams", HTTPStatus.SERVICE_UNAVAILABLE, "Too many clients are waiting")
    # The outcome of a job: 200 on its status page, these codes for its result
    JOB_DEAD = ("job-dead", HTTPStatus.CONFLICT, "The job has failed")
    JOB_CANCELLED = ("job-cancelled", HTTPStatus.CONFLICT, "The job was cancelled")
    JOB_NOT_ENDED = ("job-not-ended", HTTPStatus.CONFLICT, "The job has not ended")
    RESULT_WITHHELD = ("result-withheld", HTTPStatus.FORBIDDEN, "You may not see the result")
    RESULT_LOST = ("result-lost", HTTPStatus.GONE, "The result was not stored")
    RESULT_EXPIRED = ("result-expired", HTTPStatus.GONE, "The result has expired")
    RESULT_UNREADABLE = (
        "result-unreadable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The result cannot be read right now",
    )
    # Enqueue
    NO_TOKEN = ("no-token", HTTPStatus.UNAUTHORIZED, "A token is required")
    WRONG_TOKEN = ("wrong-token", HTTPStatus.UNAUTHORIZED, "The token is not valid")
    TOKEN_REVOKED = ("token-revoked", HTTPStatus.UNAUTHORIZED, "The token was revoked")
    JOB_NOT_ALLOWED = ("job-not-allowed", HTTPStatus.FORBIDDEN, "The token may not enqueue this job")
    JOB_UNKNOWN = ("job-unknown", HTTPStatus.NOT_FOUND, "There is no such job")
    WRONG_CONTENT_TYPE = ("wrong-content-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
    WRONG_BODY = ("wrong-body", HTTPStatus.BAD_REQUEST, "The body is not a JSON object")
    TOO_LARGE = ("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
    WRONG_ARGUMENTS = (
        "wrong-arguments",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The arguments do not fit the job",
    )
    WRONG_KEY = ("wrong-idempotency-key", HTTPStatus.BAD_REQUEST, "The idempotency key cannot be used")
    KEY_REUSED = (
        "idempotency-key-reused",
        HTTPStatus.CONFLICT,
        "The idempotency key was used for other arguments",
    )
    # Metrics
    METRICS_NOT_ALLOWED = ("metrics-not-allowed", HTTPStatus.FORBIDDEN, "You may not read metrics")
    WRONG_QUERY = ("wrong-query", HTTPStatus.BAD_REQUEST, "The format or the queue is not valid")
    NEEDS_PROMETHEUS = ("needs-prometheus", HTTPStatus.NOT_IMPLEMENTED, "This server lacks the package for this format")
    # Any address
    WRONG_METHOD = ("wrong-method", HTTPStatus.METHOD_NOT_ALLOWED, "The method is not allowed here")

    def __init__(self, slug: str, status: HTTPStatus, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The ``type`` of problem details: stable, for programs."""
        return TYPE_PREFIX + self.slug


def problem_for_state(state: State) -> ProblemKind | None:
    """Return the problem of a job in this state for clients that wait for its result, or None."""
    return {State.DEAD: ProblemKind.JOB_DEAD, State.CANCELLED: ProblemKind.JOB_CANCELLED}.get(state)
