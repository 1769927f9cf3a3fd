"""The contract between the bulk pages and the rows that they act on: ``BulkSubject``, and its ``BulkAction``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...registry import DefinedJob
from ..site.permissions import VIEW_ARGUMENTS, has_permission

HIDDEN = _("(hidden)")


class BulkFilter(Protocol):
    """A filter that is a query string."""

    def to_query(self) -> dict[str, str]:
        """Return the parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAction:
    """An action that ``job`` applies to all that match.

    ``past`` is its participle. ``options``: the fields of ``BulkOptionsForm`` that it has. ``has_preset``: propose a
    sample first if very many match.
    """

    permission: str
    label: Any
    bulk_label: Any
    warning: Any
    past: Any
    job: DefinedJob
    options: Sequence[str] = ()
    is_destructive: bool = False
    has_preset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The matches of a filter now.

    ``number``, at least that many if ``is_more``, and ``by_queue``; ``left_alone`` of others besides. ``chosen``: the
    filter without a duration, and without rows that come from now on.
    """

    number: int
    is_more: bool
    chosen: Any
    by_queue: Mapping[str, int] = field(default_factory=dict)
    left_alone: int = 0


class BulkSubject(Protocol):
    """Dead letters or jobs.

    ``prefix`` begins the names of their addresses, ``argument`` is that of a bulk job that has the filter.
    """

    prefix: str
    argument: str

    @property
    def actions(self) -> Mapping[str, BulkAction]:
        """The actions by the word that their addresses have."""

    def is_secret(self, name: str, value: str) -> bool:
        """Tell whether this parameter of a filter was searched in arguments or errors: not everybody may see it."""

    def read_filter(self, request: HttpRequest) -> Any:
        """Return the filter of the address. Raises FilterError, and PermissionDenied for one that is not allowed."""

    def parse_filter(self, query: Mapping[str, str]) -> Any:
        """Return the filter that ``to_query`` wrote."""

    def as_argument(self, wanted: Any) -> dict[str, Any]:
        """Return the filter as the argument of a bulk job."""

    def count(self, action: BulkAction, wanted: Any) -> Matches:
        """Count what the action would change."""

    def sample(self, action: BulkAction, wanted: Any, number: int) -> tuple[Any, int]:
        """Return a filter that names the newest of the matches, and how many they are."""

    def sampled_jobs(self, argument: Mapping[str, Any]) -> QuerySet[Job] | None:
        """Return the jobs of a sample, None if the argument of a bulk job is not one."""

    def without_bound(self, wanted: Any) -> Any:
        """Return the filter as it was before rows that came later were left out."""

    def is_bounded(self, wanted: Any) -> bool:
        """Tell whether the filter leaves out rows that came later: a sample was chosen before."""

    def headline(self, matches: Matches, number: str) -> str:
        """Return how many match, as a sentence."""

    def notes(self, wanted: Any, matches: Matches) -> list[str]:
        """Return what else a user has to know before."""

    def nothing_text(self) -> str:
        """Return what to say if nothing matches any more."""


def shown_details(subject: BulkSubject, wanted: BulkFilter, request: HttpRequest | None) -> list[tuple[str, Any]]:
    """Return the filter's (name, value) pairs; what was searched in arguments and errors only for who may see them.

    ``request`` None: for nobody in particular, as in the admin's log.
    """
    may_see = request is not None and has_permission(request, VIEW_ARGUMENTS)
    return [
        (name, HIDDEN if not may_see and subject.is_secret(name, value) else value)
        for name, value in wanted.to_query().items()
    ]


def may_see_filter(subject: BulkSubject, wanted: BulkFilter, request: HttpRequest) -> bool:
    """Tell whether the user may see the whole filter, as in an address."""
    return all(value != HIDDEN for _name, value in shown_details(subject, wanted, request))
