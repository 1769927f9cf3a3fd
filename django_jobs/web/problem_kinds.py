"""What can go wrong over HTTP: each kind of problem with its status code and its title (RFC 9457)."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus

from ..policy.states import State

TYPE_PREFIX = "urn:problem-type:django-jobs:"


class ProblemKind(Enum):
    """A kind of problem: the last part of its ``type``, the status code it is answered with, its title."""

    # An address of a job
    BAD_ADDRESS = ("bad-address", HTTPStatus.NOT_FOUND, "There is no such address")
    ADDRESS_EXPIRED = ("address-expired", HTTPStatus.GONE, "The address has expired")
    NOT_PERMITTED = ("not-permitted", HTTPStatus.FORBIDDEN, "This job is not yours to see")
    JOB_GONE = ("job-gone", HTTPStatus.NOT_FOUND, "The job is not there any more")
    WRONG_WAIT = ("wrong-wait", HTTPStatus.BAD_REQUEST, "The time to wait is wrong")
    NEEDS_ASGI = ("needs-asgi", HTTPStatus.NOT_IMPLEMENTED, "This server has no event streams")
    TOO_MANY_STREAMS = ("too-many-streams", HTTPStatus.SERVICE_UNAVAILABLE, "Too many clients are waiting")
    # What became of a job; told on its status page with 200, and in place of its result with these
    JOB_DEAD = ("job-dead", HTTPStatus.CONFLICT, "The job has failed")
    JOB_CANCELLED = ("job-cancelled", HTTPStatus.CONFLICT, "The job was cancelled")
    JOB_NOT_ENDED = ("job-not-ended", HTTPStatus.CONFLICT, "The job has not ended")
    RESULT_WITHHELD = ("result-withheld", HTTPStatus.FORBIDDEN, "The result is not yours to see")
    RESULT_LOST = ("result-lost", HTTPStatus.GONE, "The result was not kept")
    RESULT_EXPIRED = ("result-expired", HTTPStatus.GONE, "The result has expired")
    RESULT_UNREADABLE = (
        "result-unreadable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The result cannot be read at the moment",
    )
    # Enqueue
    NO_TOKEN = ("no-token", HTTPStatus.UNAUTHORIZED, "A token is needed")
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
    # Any address
    WRONG_METHOD = ("wrong-method", HTTPStatus.METHOD_NOT_ALLOWED, "The method is not allowed here")

    def __init__(self, slug: str, status: HTTPStatus, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The ``type`` of problem details: stable, so that programs can tell problems apart by it."""
        return TYPE_PREFIX + self.slug


def problem_for_state(state: State) -> ProblemKind | None:
    """Return the problem that a job in this state is to somebody who waits for its result, if it is one."""
    return {State.DEAD: ProblemKind.JOB_DEAD, State.CANCELLED: ProblemKind.JOB_CANCELLED}.get(state)
