"""Filters whose parameters Django does not look up itself: the store's searches read them from the address."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ...conf.database import current_database
from ...store.stats.counts import known_queues

MAX_CHOICES = 100
PERIODS = (("PT1H", _("Last hour")), ("P1D", _("Last day")), ("P7D", _("Last week")))


class ParametersFilter(admin.ListFilter):
    """Takes its parameters out of those that Django would look up as fields."""

    parameters: tuple[str, ...]

    @property
    def parameter_name(self) -> str:
        """The first parameter: themes read the name that Django's own filters have."""
        return self.parameters[0]

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.request = request
        for name in self.parameters:
            if params.pop(name, None):
                self.used_parameters[name] = request.GET.get(name, "")

    def has_output(self) -> bool:
        """Show the filter."""
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Leave the queryset to the search."""
        return queryset

    def expected_parameters(self) -> list[str | None]:
        """Return the names of the parameters."""
        return list(self.parameters)


class ChoicesFilter(ParametersFilter, ABC):
    """One parameter with a few values to choose from."""

    default = ""
    """The value that an address without the parameter stands for."""

    @abstractmethod
    def values(self) -> list[tuple[str, Any]]:
        """Return the (value, label) pairs."""

    def value(self) -> str:
        """Return the value of the address."""
        (name,) = self.parameters
        return str(self.used_parameters.get(name) or self.default)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the choices for the template, and the value of the address if it is not among them."""
        (name,) = self.parameters
        chosen = self.value()
        offered = [*([] if self.default else [("", _("All"))]), *self.values()]
        if chosen not in dict(offered):
            offered.append((chosen, chosen))
        for value, label in offered:
            yield {
                "selected": value == chosen,
                "query_string": changelist.get_query_string({name: value or None}),
                "display": label,
            }


class FieldFilter(ChoicesFilter):
    """A choice that is the value of a field of the same name."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows with the chosen value."""
        (name,) = self.parameters
        return queryset.filter(**{name: self.value()}) if self.value() else queryset


def queue_choices() -> list[tuple[str, Any]]:
    """Return up to a hundred queues that have a row, and those in which jobs wait before a worker serves them."""
    names = known_queues(limit=MAX_CHOICES, using=current_database())
    return [(name, name) for name in names]
