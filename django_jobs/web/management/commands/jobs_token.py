"""``manage.py jobs_token VERB``: create, list and revoke the tokens of services that use the pages of ``web``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from .... import registry
from ....exceptions import ArgumentsError
from ....management.rows import as_json, as_table
from ....management.verb_command import VerbCommand
from ....management.verbs import actor
from ...models import MAX_TOKEN_NAME_LENGTH, Token
from ...tokens import create_token, revoke_token

COLUMNS = ("key", "name", "job_names", "reads_metrics", "created_at", "created_by", "last_used_at", "revoked_at")


class Command(VerbCommand):
    """Dispatches to one method a verb; each prints text, or JSON with ``--json``."""

    help = "Creates, lists and revokes tokens with which services enqueue jobs, or read metrics, over HTTP."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add = self.add_verb
        create = add("create", "Create a token and print it, this once.")
        create.add_argument("name", help="A name, such as that of the service that will use it.")
        create.add_argument(
            "--job",
            action="append",
            default=[],
            metavar="NAME",
            help="A job that it may enqueue; repeat for more.",
        )
        create.add_argument("--metrics", action="store_true", help="It may read the metrics of the service.")
        add("list", "List the tokens, revoked ones too.")
        add("revoke", "Revoke a token: requests with it are refused.").add_argument("key")

    def handle(self, *, verb: str, **options: Any) -> None:
        self.stdout.write(getattr(self, f"_{verb}")(options))

    def _create(self, options: dict[str, Any]) -> str:
        name: str = options["name"]
        if not (0 < len(name) <= MAX_TOKEN_NAME_LENGTH and name.isprintable()):
            raise ArgumentsError(f"name: expected 1 to {MAX_TOKEN_NAME_LENGTH} printable characters, got {name!r}")
        if not options["job"] and not options["metrics"]:
            raise ArgumentsError("expected what the token may do: --job NAME, --metrics, or both")
        for job_name in options["job"]:
            registry.get(job_name)
        token, text = create_token(name, job_names=options["job"], reads_metrics=options["metrics"], by=actor())
        if options["json"]:
            return as_json({**_row(token), "token": text})
        return f"{text}\nThis is the token {token.name!r}. Copy it now: it is not stored and not shown again."

    def _list(self, options: dict[str, Any]) -> str:
        rows = [_row(token) for token in Token.objects.order_by("pk")]
        if options["json"]:
            return as_json(rows)
        return as_table(rows, COLUMNS) if rows else "there is no token"

    def _revoke(self, options: dict[str, Any]) -> str:
        key: str = options["key"]
        if not Token.objects.filter(key=key).exists():
            raise ArgumentsError(f"no token has the key {key!r}; 'manage.py jobs_token list' shows the keys")
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
        "reads_metrics": token.reads_metrics,
        "created_by": token.created_by,
        **instants,
    }
