"""``manage.py jobs token``: make, list and revoke the tokens of services that enqueue over HTTP."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from .. import registry
from ..exceptions import ArgumentsError
from ..models import Token
from ..models.token import MAX_TOKEN_NAME_LENGTH
from ..store.tokens import create_token, revoke_token
from .rows import as_json, as_table
from .verbs import actor

COLUMNS = ("key", "name", "job_names", "created_at", "created_by", "last_used_at", "revoked_at")


def add_token_arguments(parser: ArgumentParser) -> None:
    """Add ``create``, ``list`` and ``revoke`` to the verb."""
    actions = parser.add_subparsers(dest="token_verb", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="Make a token and show it, this once.")
    create.add_argument("name", help="What it is called, such as the service that will have it.")
    create.add_argument(
        "--job",
        action="append",
        required=True,
        metavar="NAME",
        help="A job that it may enqueue; repeat for more.",
    )
    actions.add_parser("list", help="List the tokens, revoked ones too.")
    actions.add_parser("revoke", help="Have a token open nothing any more.").add_argument("key")


def run_token_verb(options: dict[str, Any]) -> str:
    """Do what the action says and return what is to be printed. Raises JobsError where it cannot be done."""
    match options["token_verb"]:
        case "create":
            return _create(options)
        case "list":
            rows = [_row(token) for token in Token.objects.order_by("pk")]
            if options["json"]:
                return as_json(rows)
            return as_table(rows, COLUMNS) if rows else "there is no token"
    return _revoke(options)


def _create(options: dict[str, Any]) -> str:
    name: str = options["name"]
    if not (0 < len(name) <= MAX_TOKEN_NAME_LENGTH and name.isprintable()):
        raise ArgumentsError(
            f"name: expected 1 to {MAX_TOKEN_NAME_LENGTH} printable characters, got {name!r}"
        )
    for job_name in options["job"]:
        registry.get(job_name)
    token, text = create_token(name, job_names=options["job"], by=actor())
    if options["json"]:
        return as_json({**_row(token), "token": text})
    return f"{text}\nThis is the token {token.name!r}. It is not kept, and is shown this once."


def _revoke(options: dict[str, Any]) -> str:
    key: str = options["key"]
    if not Token.objects.filter(key=key).exists():
        raise ArgumentsError(
            f"there is no token with the key {key!r}; 'manage.py jobs token list' shows the keys there are"
        )
    revoked = revoke_token(key, by=actor())
    if options["json"]:
        return as_json({"revoked": key if revoked else None})
    return f"the token {key} {'is' if revoked else 'was already'} revoked"


def _row(token: Token) -> dict[str, Any]:
    instants = {
        name: None if value is None else value.isoformat(timespec="milliseconds")
        for name in ("created_at", "last_used_at", "revoked_at")
        for value in (getattr(token, name),)
    }
    return {
        "key": token.key,
        "name": token.name,
        "job_names": token.job_names,
        "created_by": token.created_by,
        **instants,
    }
