"""The parts of the OpenAPI document that do not depend on the token: schemas, responses, the pages of a job."""

from __future__ import annotations

from typing import Any

from ..policy.states import State
from .polling import MIN_RETRY_AFTER_SECONDS
from .problem_kinds import TYPE_PREFIX, ProblemKind
from .problems import CONTENT_TYPE as PROBLEM_JSON

Part = dict[str, Any]

_INSTANT = {"type": "string", "format": "date-time"}
_LINKS = {
    "type": "object",
    "properties": {name: {"type": "string", "format": "uri-reference"} for name in ("status", "result", "events")},
    "required": ["status", "result"],
}
_STATES = {"type": "string", "enum": [state.value for state in State]}
_STATUS = {
    "type": "object",
    "properties": {
        "id": {"$ref": "#/components/schemas/JobId"},
        "state": _STATES,
        "is_final": {"type": "boolean"},
        "progress": {
            "type": ["object", "null"],
            "properties": {
                "done": {"type": "integer"},
                "total": {"type": ["integer", "null"]},
                "message": {"type": "string"},
            },
            "required": ["done", "total", "message"],
        },
        "is_cancel_requested": {"type": "boolean"},
        "enqueued_at": _INSTANT,
        "started_at": _INSTANT | {"type": ["string", "null"]},
        "finished_at": _INSTANT | {"type": ["string", "null"]},
        "result": {"type": ["string", "null"], "format": "uri-reference"},
        "links": {"$ref": "#/components/schemas/Links"},
    },
    "required": [
        "id", "state", "is_final", "progress", "is_cancel_requested", "enqueued_at", "started_at", "finished_at",
        "result", "links",
    ],
}  # fmt: skip

_NUMBER = {"type": "integer"}
_ID_IN_DATABASE = {"type": "string", "description": "Database and number, such as eu:4711."}

_SCHEMAS: Part = {
    "Links": _LINKS,
    "Status": _STATUS,
    "Accepted": {
        "type": "object",
        "properties": {
            "id": {"$ref": "#/components/schemas/JobId"},
            "state": _STATES,
            "is_duplicate": {"type": "boolean", "description": "The job existed already."},
            "links": {"$ref": "#/components/schemas/Links"},
        },
        "required": ["id", "state", "is_duplicate", "links"],
    },
    "Problem": {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "properties": {
            "type": {"type": "string", "enum": [kind.uri for kind in ProblemKind]},
            "title": {"type": "string"},
            "detail": {"type": "string"},
            "status": {"type": "integer"},
            "instance": {"type": "string", "format": "uri-reference"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                    "required": ["pointer", "detail"],
                },
            },
        },
        "required": ["type", "title", "detail"],
    },
}


def schemas(*, has_many_databases: bool) -> Part:
    """Return the schemas; the id of a job is a number if jobs are in one database."""
    return {"JobId": _ID_IN_DATABASE if has_many_databases else _NUMBER, **_SCHEMAS}


RETRY_AFTER: Part = {
    "description": "Seconds after which to ask again.",
    "schema": {"type": "integer", "minimum": MIN_RETRY_AFTER_SECONDS},
}
KEY: Part = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "Signed, from Location or links; or the job's id, for its owner and for staff.",
    "schema": {"type": "string"},
}


def problem_responses(*kinds: ProblemKind) -> Part:
    """Return the responses for these kinds of problems, by status code."""
    answers: Part = {}
    for kind in kinds:
        answer = answers.setdefault(
            str(kind.status.value),
            {
                "description": "",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        slug = kind.uri.removeprefix(TYPE_PREFIX)
        answer["description"] = ", ".join(filter(None, (answer["description"], f"{kind.title} (`{slug}`)")))
    return answers


ADDRESS_PROBLEMS = (
    ProblemKind.BAD_ADDRESS,
    ProblemKind.ADDRESS_EXPIRED,
    ProblemKind.NOT_PERMITTED,
    ProblemKind.JOB_GONE,
    ProblemKind.WRONG_METHOD,
)


def job_paths(*, max_wait: float) -> Part:
    """Return the paths of a job's pages: status, result, events."""
    status = {"schema": {"$ref": "#/components/schemas/Status"}}
    failed = {"schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, status["schema"]]}}
    version = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
    wait = {
        "name": "wait",
        "in": "query",
        "required": False,
        "description": "Seconds to wait for the job's end or, with If-None-Match, for any change.",
        "schema": {"type": "number", "minimum": 0, "maximum": max_wait},
    }
    headers = {"ETag": {"schema": {"type": "string"}}, "Retry-After": RETRY_AFTER}
    return {
        "/{key}/": {
            "parameters": [KEY],
            "get": {
                "operationId": "status",
                "summary": "The status of a job",
                "parameters": [wait, version],
                "responses": {
                    "200": {
                        "description": "The status; with problem details if the job is dead or cancelled.",
                        "headers": headers,
                        "content": {
                            "application/json": status,
                            PROBLEM_JSON: failed,
                            "text/html": {"schema": {"type": "string"}},
                        },
                    },
                    "304": {"description": "Unchanged since If-None-Match.", "headers": headers},
                    **problem_responses(*ADDRESS_PROBLEMS, ProblemKind.WRONG_WAIT),
                },
            },
        },
        "/{key}/result/": {
            "parameters": [KEY],
            "get": {
                "operationId": "result",
                "summary": "The result of a job",
                "responses": {
                    "200": {
                        "description": "The result as plain JSON, secrets masked.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "properties": {"result": {}},
                                    "required": ["result"],
                                }
                            }
                        },
                    },
                    **problem_responses(
                        *ADDRESS_PROBLEMS,
                        ProblemKind.JOB_NOT_ENDED,
                        ProblemKind.JOB_DEAD,
                        ProblemKind.JOB_CANCELLED,
                        ProblemKind.RESULT_WITHHELD,
                        ProblemKind.RESULT_LOST,
                        ProblemKind.RESULT_EXPIRED,
                        ProblemKind.RESULT_UNREADABLE,
                    ),
                },
            },
        },
        "/{key}/events/": {
            "parameters": [KEY],
            "get": {
                "operationId": "events",
                "summary": "The status as server-sent events, at every change",
                "parameters": [version | {"name": "Last-Event-ID"}],
                "responses": {
                    "200": {
                        "description": "Events `status` with a Status as data, and at last `end`.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    "204": {"description": "Nothing comes after Last-Event-ID."},
                    **problem_responses(*ADDRESS_PROBLEMS, ProblemKind.NEEDS_ASGI, ProblemKind.TOO_MANY_STREAMS),
                },
            },
        },
    }
