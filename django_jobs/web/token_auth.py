"""The token of the Authorization header, and whether it may enqueue a job."""

from __future__ import annotations

from django.http import HttpRequest

from .. import registry
from ..registry import DefinedJob
from .models import Token
from .problem_kinds import ProblemKind
from .problems import Problem
from .tokens import find_token

CHALLENGE = 'Bearer realm="jobs"'
_INVALID = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
INSUFFICIENT = {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope"'}


def authenticate(request: HttpRequest) -> Token:
    """Return the request's token. Raises Problem (401) if it is missing or not valid."""
    given = request.headers.get("Authorization", "")
    scheme, _, text = given.partition(" ")
    if not given or scheme.lower() != "bearer":
        raise Problem(
            ProblemKind.NO_TOKEN,
            "expected the header Authorization: Bearer TOKEN; create a token in the admin or by"
            " 'manage.py jobs_token create'",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    token = find_token(text.strip())
    if token is None:
        raise Problem(
            ProblemKind.WRONG_TOKEN,
            "there is no such token; send all of it, as it was shown when it was created",
            headers=_INVALID,
        )
    if token.is_revoked:
        raise Problem(ProblemKind.TOKEN_REVOKED, f"the token {token} was revoked", headers=_INVALID)
    return token


def allowed_definition(token: Token, job_name: str) -> DefinedJob:
    """Return the job of this name. Raises Problem if the token may not enqueue it or it is not registered.

    A job that is not allowed is answered the same whether it exists or not.
    """
    if not token.allows(job_name):
        raise Problem(
            ProblemKind.JOB_NOT_ALLOWED,
            f"the token {token} does not allow a job of this name",
            headers=INSUFFICIENT,
        )
    definition = registry.find(job_name)
    if definition is None:
        raise Problem(ProblemKind.JOB_UNKNOWN, f"no job is registered as {job_name!r} in this project")
    return definition
