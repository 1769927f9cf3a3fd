"""``GET openapi.json``: the OpenAPI 3.1 document of these pages and, with a token, of the jobs that it allows."""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from .. import __version__, registry
from ..conf import get_settings
from ..registry import DefinedJob
from .arguments import arguments_schema
from .enqueue import IDEMPOTENCY_HEADER, MAX_KEY_CHARACTERS
from .links import reverse_url
from .metrics import FORMATS
from .openapi_parts import RETRY_AFTER, Part, job_paths, problem_responses, schemas
from .problem_kinds import ProblemKind
from .problems import check_method, handle_problems
from .token_auth import authenticate

NAME = "openapi.json"
_TOKEN_PROBLEMS = (ProblemKind.NO_TOKEN, ProblemKind.WRONG_TOKEN, ProblemKind.TOKEN_REVOKED)
_METRICS_PROBLEMS = (
    *_TOKEN_PROBLEMS, ProblemKind.METRICS_NOT_ALLOWED, ProblemKind.WRONG_QUERY, ProblemKind.NEEDS_PROMETHEUS,
    ProblemKind.WRONG_METHOD,
)  # fmt: skip
_ENQUEUE_PROBLEMS = (
    ProblemKind.WRONG_BODY, *_TOKEN_PROBLEMS, ProblemKind.JOB_NOT_ALLOWED, ProblemKind.JOB_UNKNOWN,
    ProblemKind.WRONG_METHOD, ProblemKind.TOO_LARGE, ProblemKind.WRONG_CONTENT_TYPE, ProblemKind.WRONG_ARGUMENTS,
    ProblemKind.WRONG_KEY, ProblemKind.KEY_REUSED,
)  # fmt: skip


@handle_problems
def openapi(request: HttpRequest) -> HttpResponseBase:
    """Answer the document. Raises Problem (401) for a token that is not valid."""
    check_method(request, "GET", "HEAD")
    names = authenticate(request).job_names if "Authorization" in request.headers else []
    definitions = [found for name in names if (found := registry.find(name)) is not None]
    response = JsonResponse(document(definitions))
    response["Cache-Control"] = "private, no-cache"
    response["Vary"] = "Authorization"
    return response


def document(definitions: list[DefinedJob]) -> Part:
    """Return the document with one path for each job."""
    max_wait = get_settings().status.max_wait.total_seconds()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobs",
            "version": __version__,
            "description": "Enqueue jobs and follow their status.",
        },
        "servers": [{"url": reverse_url("openapi").removesuffix(f"/{NAME}") or "/"}],
        "paths": {
            f"/{NAME}": _own_path(),
            **{_path_of(definition.name): _enqueue_path(definition) for definition in definitions},
            **({} if definitions else {"/enqueue/{name}/": _any_enqueue_path()}),
            "/metrics/": _metrics_path(),
            **job_paths(max_wait=max_wait),
        },
        "components": {
            "schemas": schemas(has_many_databases=get_settings().has_many_databases),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _path_of(job_name: str) -> str:
    return f"/enqueue/{quote(job_name, safe='')}/"


def _own_path() -> Part:
    return {
        "get": {
            "operationId": "openapi",
            "summary": "This document; with a token, the jobs that it allows",
            "security": [{}, {"token": []}],
            "responses": {
                "200": {
                    "description": "An OpenAPI document.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
                **problem_responses(*_TOKEN_PROBLEMS, ProblemKind.WRONG_METHOD),
            },
        }
    }


def _metrics_path() -> Part:
    names = {"format": {"type": "string", "enum": list(FORMATS)}, "queue": {"type": "string", "maxLength": 100}}
    return {
        "get": {
            "operationId": "metrics",
            "summary": "The gauges of the service, or of one queue; by staff, or a token with the right to metrics",
            "security": [{"token": []}],
            "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in names.items()],
            "responses": {
                "200": {
                    "description": "The gauges.",
                    "content": {
                        "text/plain": {"schema": {"type": "string"}},
                        "application/json": {"schema": {"type": "object"}},
                    },
                },
                **problem_responses(*_METRICS_PROBLEMS),
            },
        }
    }


def _enqueue_path(definition: DefinedJob) -> Part:
    first_line = (definition.function.__doc__ or "").strip().partition("\n")[0]
    operation = _enqueue_operation(arguments_schema(definition))
    operation |= {"operationId": f"enqueue {definition.name}", "summary": first_line or definition.name}
    return {"post": operation}


def _any_enqueue_path() -> Part:
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The name of a job that the token allows.",
        "schema": {"type": "string"},
    }
    operation = _enqueue_operation({"type": "object"})
    return {
        "parameters": [name],
        "post": operation | {"operationId": "enqueue", "summary": "Enqueue a job by its name"},
    }


def _enqueue_operation(schema: Part) -> Part:
    key = {
        "name": IDEMPOTENCY_HEADER,
        "in": "header",
        "required": False,
        "description": "The same key with the same arguments is the same job, for ENQUEUE['IDEMPOTENCY_WINDOW'].",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS},
    }
    return {
        "parameters": [key],
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "202": {
                "description": "The job is enqueued.",
                "headers": {
                    "Location": {
                        "description": "The status page, signed.",
                        "schema": {"type": "string", "format": "uri-reference"},
                    },
                    "Retry-After": RETRY_AFTER,
                },
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Accepted"}}},
            },
            **problem_responses(*_ENQUEUE_PROBLEMS),
        },
    }
