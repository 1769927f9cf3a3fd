"""``POST enqueue/NAME/``: a new job by its name, for services that are not Python."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from ..enqueue_options import EnqueueOptions
from ..exceptions import ArgumentsError, PayloadTooLarge, SerializationError
from ..models import Job
from ..policy.problems import Kind
from ..store.tokens import note_used
from .accepted import accepted
from .arguments import read_arguments, read_object, wrong_arguments
from .bearer import allowed_definition, authenticate
from .problems import Problem, answering_problems, check_method

IDEMPOTENCY_HEADER = "Idempotency-Key"


@csrf_exempt  # there is no cookie that a foreign page could misuse: the token is sent on purpose
@answering_problems
@sensitive_variables("arguments")
def enqueue(request: HttpRequest, name: str) -> HttpResponseBase:
    """Enqueue the job ``name`` with the arguments in the body and answer 202."""
    check_method(request, "POST")
    token = authenticate(request)
    definition = allowed_definition(token, name)
    arguments = read_arguments(definition, read_object(request))
    options = definition.using(metadata={"enqueued_by": str(token)})
    job = _insert(_with_key(options, request.headers.get(IDEMPOTENCY_HEADER)), *arguments)
    note_used(token)
    return accepted(request, job)


def _with_key(options: EnqueueOptions[..., Any], key: str | None) -> EnqueueOptions[..., Any]:
    if key is None:
        return options
    raise Problem(
        Kind.NO_IDEMPOTENCY,
        f"leave the header {IDEMPOTENCY_HEADER} out; this version cannot keep its promise",
    )


@sensitive_variables("positions", "keywords")
def _insert(options: EnqueueOptions[..., Any], positions: list[Any], keywords: dict[str, Any]) -> Job:
    name = options.definition.name
    try:
        return options.enqueue(*positions, **keywords)
    except PayloadTooLarge as error:
        raise Problem(Kind.TOO_LARGE, str(error)) from None
    except (ArgumentsError, SerializationError) as error:
        raise wrong_arguments(name, [{"pointer": "", "detail": str(error)}]) from None
