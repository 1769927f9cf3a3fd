"""The command line: options in the wrong place, verbs such as ``manage.py jobs status``, and errors as sentences."""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import Error as DatabaseError

from ..conf import get_settings
from ..exceptions import ConfigurationError, JobsError
from ..policy.foreign_options import COMMAND_OPTIONS
from ..policy.hints import find_near
from ..policy.printable import printable_lines
from ..store.dialects import is_refusal, open_dialect
from ..store.readiness import explain
from ..worker.threads.connections import set_network_timeouts, use_own_connections


class HintingCommand(BaseCommand):
    """Answers a misplaced or misspelt option with a hint, before Django calls it unrecognized."""

    def run_from_argv(self, argv: list[str]) -> None:
        parser = self.create_parser(argv[0], argv[1])
        if problem := find_wrong_option(argv[2:], parser, self.verb_parsers()):
            parser.print_usage(sys.stderr)
            parser.exit(2, f"{parser.prog}: error: {problem}\n")
        super().run_from_argv(argv)

    def verb_parsers(self) -> Mapping[str, ArgumentParser]:
        """Return the parser of each verb; empty if there are no verbs. Only after ``create_parser``."""
        return {}


class VerbCommand(HintingCommand):
    """Adds a parser for each verb. Django's own options, such as ``--settings``, may stand before and after the verb.

    Raises CommandError, one sentence, for errors of django_jobs and for a database that cannot be used; with
    ``--traceback`` Django prints the rest. ``database``: the one that the command acts on, once that is known.
    """

    database: str | None = None

    def add_arguments(self, parser: ArgumentParser) -> None:
        self._verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._django_options = _django_options()

    def add_verb(self, verb: str, text: str) -> ArgumentParser:
        added: ArgumentParser = self._verbs.add_parser(
            verb, help=text, description=text, parents=[self._django_options], formatter_class=DjangoHelpFormatter
        )
        added.add_argument("--json", action="store_true", help="Print JSON.")
        return added

    def verb_parsers(self) -> Mapping[str, ArgumentParser]:
        return self._verbs.choices

    def print_lines(self, text: str) -> None:
        """Print text for a terminal. What a job, a row or a caller has chosen must not act there."""
        self.stdout.write(printable_lines(text))

    def run_from_argv(self, argv: list[str]) -> None:
        use_own_connections()  # a pool hides the reason why it has no connection
        with suppress(ConfigurationError):  # which the system checks report
            for alias in get_settings().aliases:
                set_network_timeouts(alias)
        super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except JobsError as error:
            raise CommandError(printable_lines(str(error))) from error
        except DatabaseError as error:
            _, connection = open_dialect(self.database)
            if is_refusal(connection, error):
                raise
            raise CommandError(printable_lines(explain(error, using=self.database))) from error


Act = Callable[[VerbCommand, dict[str, Any]], None]
"""What a verb does, with its options."""
AddVerb = Callable[[str, Act, str], ArgumentParser]
"""Adds a verb with what it does and a sentence about it, and returns its parser."""


def find_wrong_option(
    arguments: Sequence[str], parser: ArgumentParser, verbs: Mapping[str, ArgumentParser]
) -> str | None:
    """Return a sentence about the first option that has a wrong place or name; None if nobody can tell.

    ``parser`` is the one of the command, before the verb if it has ``verbs``.
    """
    verb = next((word for word in arguments if word in verbs), None)
    if verbs and verb is None:
        return None
    place = parser
    for word in takewhile(lambda word: word != "--", arguments):
        option = word.partition("=")[0]
        if verb is not None and word == verb:
            place = verbs[verb]
        elif word.startswith("-") and not _takes(place, option):
            if verb is not None and _takes(verbs[verb], option):
                return f"{option} belongs after the verb: {parser.prog} {verb} {option} ..."
            if hint := _hint(option, place if verb is None else verbs[verb], verbs):
                return f"{'there is' if verb is None else f'{verb!r} has'} no option {option}; {hint}"
    return None


def _hint(option: str, place: ArgumentParser, verbs: Mapping[str, ArgumentParser]) -> str | None:
    """Return where an option that ``place`` does not take belongs, or which one was meant."""
    foreign = COMMAND_OPTIONS.get(option)
    if foreign in _options(place):
        return f"did you mean {foreign}?"
    if others := [name for name, other in verbs.items() if option in _options(other)]:
        return f"it is one of {', '.join(map(repr, others))}"
    near = find_near(option, _options(place)) if option.startswith("--") else None
    return near and f"did you mean {near}?"


def _django_options() -> CommandParser:
    """Return a parser with Django's own options, which does not replace what was given before the verb."""
    parser = BaseCommand().create_parser("", "", add_help=False)
    for action in parser._actions:  # noqa: SLF001 - as Django's call_command reads them
        action.default = argparse.SUPPRESS
    return parser


def _takes(parser: ArgumentParser, option: str) -> bool:
    """Tell whether a parser takes an option, which may be abbreviated, or a short one with its value."""
    known = _options(parser)
    if option.startswith("--"):
        return any(name.startswith(option) for name in known)
    return option[:2] in known or option[1:].isdecimal()


def _options(parser: ArgumentParser) -> Mapping[str, object]:
    return parser._option_string_actions  # noqa: SLF001 - argparse has no public list
