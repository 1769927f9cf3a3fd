"""The body of an enqueue request: a JSON object of arguments by name, checked against the job's signature.

Positional arguments of ``*args`` are under the key ``*``, as in the job's row.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

from ..arguments.json_schema import (
    KEY_PATTERN,
    Schema,
    TypeMismatchError,
    escape,
    is_storable_key,
    parse_json_value,
    schema_of,
)
from ..arguments.signature import VAR_POSITIONAL_KEY
from ..conf import get_settings
from ..functions.callables import type_hints
from ..policy.redact import MASK
from ..redaction import redact_for_job
from ..registry import DefinedJob
from .problem_kinds import ProblemKind
from .problems import Problem

CONTENT_TYPE = "application/json"
_VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def read_json_object(request: HttpRequest) -> dict[str, Any]:
    """Return the request's body, a JSON object. Raises Problem if it is anything else."""
    if request.content_type != CONTENT_TYPE:
        raise Problem(
            ProblemKind.WRONG_CONTENT_TYPE,
            f"expected Content-Type: {CONTENT_TYPE}, got {(request.content_type or 'none')[:80]}",
            headers={"Accept": CONTENT_TYPE},
        )
    try:
        value = json.loads(_read_body(request), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(ProblemKind.WRONG_BODY, f"expected a JSON object of arguments by name: {error}") from None
    if not isinstance(value, dict):
        raise Problem(
            ProblemKind.WRONG_BODY, f"expected a JSON object of arguments by name, got {type(value).__name__}"
        )
    return value


def _read_body(request: HttpRequest) -> str:
    max_bytes = get_settings().enqueue.max_payload_bytes
    too_large = Problem(
        ProblemKind.TOO_LARGE,
        f"expected at most {max_bytes} bytes (ENQUEUE['MAX_PAYLOAD_BYTES']); enqueue a reference to large data",
    )
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and (len(length) > len(str(max_bytes)) or int(length) > max_bytes):
        raise too_large
    try:
        body = request.body
    except RequestDataTooBig:
        raise too_large from None
    except UnreadablePostError as error:
        raise Problem(ProblemKind.WRONG_BODY, f"the body is incomplete: {error}") from None
    if len(body) > max_bytes:
        raise too_large
    return body.decode("utf-8")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_arguments(definition: DefinedJob, body: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return args and kwargs for ``enqueue``. Raises Problem that names each argument that does not fit."""
    hints, errors = type_hints(definition.function), []
    values = {}
    for name, value in body.items():
        parameter = _parameter(definition, name)
        if parameter is None or not is_storable_key(name):
            errors.append(_error(f"/{escape(name)}", "the job has no such argument"))
            continue
        annotation = _annotation(hints, parameter, of_position=name == VAR_POSITIONAL_KEY)
        try:
            values[name] = parse_json_value(annotation, value, f"/{escape(name)}")
        except TypeMismatchError as mismatch:
            errors.append(_error(mismatch.pointer, str(mismatch)))
    errors += [
        _error(f"/{parameter.name}", "this argument is required and missing")
        for parameter in definition.signature.parameters.values()
        if _is_required(parameter) and parameter.name not in body
    ]
    if errors:
        raise invalid_arguments(definition.name, errors)
    return definition.signature.call_arguments(values)


def invalid_arguments(job_name: str, errors: list[dict[str, str]]) -> Problem:
    """Return the problem of wrong arguments: for each the place in the body and the error."""
    detail = "; ".join(f"{error['pointer']}: {error['detail']}" for error in errors[:10])
    return Problem(ProblemKind.WRONG_ARGUMENTS, f"{job_name}: {detail}", errors=errors)


def arguments_schema(definition: DefinedJob) -> Schema:
    """Return the JSON Schema of the body that enqueues this job, without the defaults of secret arguments."""
    hints = type_hints(definition.function)
    schema: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
    required = []
    for parameter in definition.signature.parameters.values():
        value_schema = schema_of(hints.get(parameter.name, Any))
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            schema["properties"][VAR_POSITIONAL_KEY] = {"type": "array", "items": value_schema}
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            schema |= {
                "additionalProperties": value_schema or True,
                "propertyNames": {"pattern": KEY_PATTERN},
            }
        else:
            schema["properties"][parameter.name] = value_schema | _default(definition, parameter)
            if _is_required(parameter):
                required.append(parameter.name)
    return schema | ({"required": required} if required else {})


def _default(definition: DefinedJob, parameter: inspect.Parameter) -> Schema:
    value = parameter.default
    if not (value is None or type(value) in {bool, int, float, str}):
        return {}
    shown = redact_for_job(definition.name, {parameter.name: value})[parameter.name]
    return {} if shown == MASK else {"default": shown}


def _parameter(definition: DefinedJob, name: str) -> inspect.Parameter | None:
    """Return the parameter that takes an argument of this name, or None."""
    parameters = definition.signature.parameters
    found = parameters.get(name)
    if found is not None and found.kind not in _VARIADIC:
        return found
    wanted = inspect.Parameter.VAR_POSITIONAL if name == VAR_POSITIONAL_KEY else inspect.Parameter.VAR_KEYWORD
    return next((parameter for parameter in parameters.values() if parameter.kind is wanted), None)


def _annotation(hints: dict[str, Any], parameter: inspect.Parameter, *, of_position: bool) -> Any:
    annotation = hints.get(parameter.name, Any)
    return list[annotation] if of_position else annotation  # type: ignore[valid-type]  # built at run time


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIADIC


def _error(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}
