"""Who enqueues: the token of the Authorization header, and whether it may enqueue this job."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from .. import registry
from ..definition import JobDefinition
from .models import Token
from .problem_kinds import ProblemKind
from .problems import Problem
from .tokens import find_token

CHALLENGE = 'Bearer realm="jobs"'
_INVALID = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
_INSUFFICIENT = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'}


def authenticate(request: HttpRequest) -> Token:
    """Return the token that the request carries. Raises Problem (401) where there is none that is valid."""
    given = request.headers.get("Authorization", "")
    scheme, _, text = given.partition(" ")
    if not given or scheme.lower() != "bearer":
        raise Problem(
            ProblemKind.NO_TOKEN,
            "expected the header Authorization: Bearer TOKEN; staff make tokens in the admin or by"
            " 'manage.py jobs_token create'",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    token = find_token(text.strip())
    if token is None:
        raise Problem(
            ProblemKind.WRONG_TOKEN,
            "no token is written so; take it whole, as it was shown when it was made",
            headers=_INVALID,
        )
    if token.is_revoked:
        raise Problem(
            ProblemKind.TOKEN_REVOKED, f"the token {token} opens nothing any more", headers=_INVALID
        )
    return token


def allowed_definition(token: Token, job_name: str) -> JobDefinition[..., Any]:
    """Return the job of this name. Raises Problem where the token may not enqueue it, or none is registered.

    What is not allowed is answered the same whether it is there or not.
    """
    if not token.allows(job_name):
        raise Problem(
            ProblemKind.JOB_NOT_ALLOWED,
            f"the token {token} has no job of this name in its list",
            headers=_INSUFFICIENT,
        )
    definition = registry.find(job_name)
    if definition is None:
        raise Problem(
            ProblemKind.JOB_UNKNOWN, f"no job is registered as {job_name!r} in this project any more, or yet"
        )
    return definition
