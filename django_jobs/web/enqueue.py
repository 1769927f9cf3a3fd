"""``POST enqueue/NAME/``: enqueue a job by its name, for services that are not Python."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from ..arguments.serialization import encode
from ..exceptions import ArgumentsError, PayloadTooLargeError, SerializationError
from ..models import Job
from ..policy.uniqueness import MAX_KEY_LENGTH
from ..registry import DefinedJob
from .arguments import invalid_arguments, read_arguments, read_json_object
from .models import Token
from .problem_kinds import ProblemKind
from .problems import Problem, check_method, handle_problems
from .responses import accepted
from .token_auth import allowed_definition, authenticate
from .token_text import KEY_LENGTH
from .tokens import record_token_use

IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = MAX_KEY_LENGTH - KEY_LENGTH - 1
"""The stored key has the token's key and a colon before it."""


@csrf_exempt  # no cookie is read, so another site's page cannot use one: the token is a header
@handle_problems
@sensitive_variables("arguments")
def enqueue(request: HttpRequest, name: str) -> HttpResponseBase:
    """Enqueue the job ``name`` with the arguments in the body and answer 202."""
    check_method(request, "POST")
    token = authenticate(request)
    definition = allowed_definition(token, name)
    arguments = read_arguments(definition, read_json_object(request))
    definition = definition.using(metadata={"enqueued_by": str(token)})
    job = _insert(_with_key(definition, token, request.headers.get(IDEMPOTENCY_HEADER)), *arguments)
    record_token_use(token)
    return accepted(request, job)


def _with_key(definition: DefinedJob, token: Token, given: str | None) -> DefinedJob:
    """Enqueue the job once for this key; keys of two tokens are two keys."""
    if given is None:
        return definition
    name, key = definition.name, given.strip().removeprefix('"').removesuffix('"')
    if not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isprintable()):
        raise Problem(
            ProblemKind.WRONG_KEY,
            f"{IDEMPOTENCY_HEADER}: expected 1 to {MAX_KEY_CHARACTERS} printable characters, got {given[:40]!r}",
        )
    if definition.options.unique is not None:
        raise Problem(
            ProblemKind.WRONG_KEY,
            f"{name} is already unique by its arguments; leave the header {IDEMPOTENCY_HEADER} out",
        )
    return definition.using(idempotency_key=f"{token.key}:{key}")


@sensitive_variables("positions", "keywords")
def _insert(definition: DefinedJob, positions: list[Any], keywords: dict[str, Any]) -> Job:
    try:
        job = definition.enqueue(*positions, **keywords)
    except PayloadTooLargeError as error:
        raise Problem(ProblemKind.TOO_LARGE, str(error)) from None
    except (ArgumentsError, SerializationError) as error:
        raise invalid_arguments(definition.name, [{"pointer": "", "detail": str(error)}]) from None
    if job.is_duplicate and definition.enqueue_options.get("idempotency_key") is not None:
        _check_same(job, definition.signature.bind(positions, keywords))
    return job


@sensitive_variables("bound")
def _check_same(job: Job, bound: dict[str, Any]) -> None:
    """Raise Problem if the first request with the key had other arguments."""
    if job.arguments != {name: encode(value, what=name) for name, value in bound.items()}:
        raise Problem(
            ProblemKind.KEY_REUSED,
            f"the first request with this {IDEMPOTENCY_HEADER} had other arguments; use a new key for a new job",
        )
