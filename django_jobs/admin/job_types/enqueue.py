"""Enqueue one job of a type, by a form that is made from the signature of its function."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from secrets import token_urlsafe
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...arguments.serialization import encode
from ...arguments.signature import VAR_KEYWORD_KEY, VAR_POSITIONAL_KEY
from ...builtin_jobs import has_fixed_arguments
from ...conf.database import current_database
from ...functions.callables import type_hints
from ...models import Job
from ...registry import DefinedJob
from ..site.arguments_field import ArgumentsField
from ..site.enqueue_form import FORM_KEY_FIELD, EnqueueForm, builtin_text, create_once, enqueue_by_form, read_call
from ..site.page_admin import PageAdmin, log_rows
from ..site.permissions import ENQUEUE_NEW, require_permission
from .page import type_name

ARGUMENT = "argument-"
"""Prefix of the fields of arguments, which may be named like another field."""
NOTHING = inspect.Parameter.empty
FIELDS: dict[Any, Callable[..., forms.Field]] = {
    int: forms.IntegerField,
    float: forms.FloatField,
    date: forms.DateField,
    datetime: forms.DateTimeField,
    Decimal: forms.DecimalField,
    UUID: forms.UUIDField,
}


class NewJobForm(EnqueueForm):
    """A field for each parameter, and where the job goes. ``cleaned_data["call"]`` holds args and kwargs."""

    def __init__(self, data: Any, *, definition: DefinedJob) -> None:
        options = definition.options
        initial = {"queue_name": options.resolve("queue_name"), "priority": options.resolve("priority")}
        super().__init__(data, initial=initial)
        self.definition = definition
        hints = type_hints(definition.function)
        arguments = {
            f"{ARGUMENT}{name}": _field(parameter, hints.get(name, NOTHING))
            for name, parameter in definition.signature.parameters.items()
        }
        self.fields = {**arguments, **self.fields}

    def clean(self) -> dict[str, Any]:
        """Check the arguments as an enqueue does."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            data["call"] = read_call(self.definition, partial(self._stored, data))
        return data

    def enqueue(self) -> Job:
        """Enqueue the job. Raises JobsError if its definition refuses it."""
        args, kwargs = self.cleaned_data["call"]
        options = self.definition.using(
            queue_name=self.cleaned_data["queue_name"],
            priority=self.cleaned_data["priority"],
            database=current_database(),
        )
        return options.enqueue(*args, **kwargs)

    def _stored(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as they are stored; an empty field of a parameter with a default is left out."""
        stored: dict[str, Any] = {}
        for name, parameter in self.definition.signature.parameters.items():
            value = data.get(f"{ARGUMENT}{name}")
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                stored |= {VAR_KEYWORD_KEY: value} if value else {}
            elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                stored |= {VAR_POSITIONAL_KEY: value} if value else {}
            elif value not in (None, "") or parameter.default is NOTHING:
                is_json = isinstance(self.fields[f"{ARGUMENT}{name}"], forms.JSONField)
                stored[name] = value if is_json else encode(value, what=name)
        return stored


def enqueue_view(model_admin: PageAdmin[Job], request: HttpRequest) -> HttpResponse:
    """Show the form, or enqueue the job and go to its page."""
    require_permission(request, ENQUEUE_NEW)
    name = type_name(request)
    type_url = f"{model_admin.url('job_type')}?{urlencode({'name': name})}"
    definition = registry.find(name)
    if definition is None:
        text = gettext("No job of this name is registered here, so there is no signature to make a form from.")
        model_admin.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(type_url)
    if has_fixed_arguments(name):
        model_admin.message_user(request, builtin_text(name), messages.WARNING)
        return HttpResponseRedirect(type_url)
    form = NewJobForm(request.POST if request.method == "POST" else None, definition=definition)
    if request.method == "POST" and form.is_valid():
        made, is_first = create_once(
            partial(enqueue_by_form, form, form.enqueue, field=None),
            "enqueued in the admin",
            name,
            form_key=request.POST.get(FORM_KEY_FIELD, ""),
        )
        if made is not None:
            if is_first and not made.is_duplicate:
                log_rows(request, [made], ADDITION, gettext("Enqueued by hand."))
            return _redirect(model_admin, request, made)
    context = model_admin.page_context(
        request,
        title=gettext("Enqueue one"),
        subtitle=name,
        trail=[(model_admin.url("job_types"), gettext("Job types")), (type_url, name)],
        form=form,
        is_known=True,
        signature=f"{name}{definition.signature.signature}",
        back=type_url,
        form_key=request.POST.get(FORM_KEY_FIELD) or token_urlsafe(16),
    )
    return TemplateResponse(request, "admin/django_jobs/job/copy.html", context)


def _redirect(model_admin: PageAdmin[Job], request: HttpRequest, made: Job) -> HttpResponse:
    if made.is_duplicate:
        text = gettext("Nothing was enqueued: the job is unique and job %(id)s is already waiting.")
        model_admin.message_user(request, text % {"id": made.pk}, messages.WARNING)
    else:
        model_admin.message_user(request, gettext("Job %(id)s enqueued.") % {"id": made.pk}, messages.SUCCESS)
    return HttpResponseRedirect(model_admin.url("job_change", made.pk))


def _field(parameter: inspect.Parameter, hint: Any) -> forms.Field:
    """Return the field of a parameter: by its annotation, JSON for what has no field of its own."""
    kind, is_optional = _kind(hint)
    has_default = parameter.default is not NOTHING
    notes = [gettext("Empty: %(value)s.") % {"value": repr(parameter.default)}] if has_default else []
    common: dict[str, Any] = {"label": parameter.name, "required": not (is_optional or has_default)}
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return _JSONArgument(list, label=f"*{parameter.name}", required=False)
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return _JSONArgument(dict, label=f"**{parameter.name}", required=False)
    choices = _choices(kind)
    if choices:
        field: forms.Field = forms.TypedChoiceField(
            choices=[("", "---------"), *((str(place), text) for place, (text, _value) in enumerate(choices))],
            coerce=lambda place: choices[int(place)][1],
            empty_value=None,
            **common,
        )
    elif isinstance(kind, type) and kind in FIELDS:
        field = FIELDS[kind](**common)
    elif kind is str:
        empty = None if is_optional else ""
        field = forms.CharField(strip=False, empty_value=empty, **{**common, "required": False})
    else:
        field = _JSONArgument(None, **common)
        notes.insert(0, gettext("JSON; text is in quotes."))
    field.help_text = " ".join(notes)
    return field


class _JSONArgument(ArgumentsField):
    """The JSON of an argument, or the list or object of surplus ones."""

    def __init__(self, expected: type | None, **options: Any) -> None:
        widget = forms.Textarea({"rows": 3, "cols": 60, "spellcheck": "false"})
        super().__init__(widget=widget, **options)
        self.expected = expected

    def prepare_value(self, value: Any) -> Any:
        """Show nothing if nothing was given."""
        return "" if value is None else super().prepare_value(value)

    def clean(self, value: Any) -> Any:
        """Check that it is a list or an object if that is expected."""
        parsed = super().clean(value)
        if parsed is not None and self.expected is not None and not isinstance(parsed, self.expected):
            example = "[1, 2]" if self.expected is list else '{"user_id": 7}'
            raise ValidationError(_("Enter JSON such as %(example)s."), params={"example": example})
        return parsed


def _kind(hint: Any) -> tuple[Any, bool]:
    """Return the type without ``Annotated`` and ``None``, and whether it may be None."""
    if get_origin(hint) is Annotated:
        return _kind(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        is_optional = len(members) < len(get_args(hint))
        return (_kind(members[0])[0] if len(members) == 1 else hint), is_optional
    return hint, False


def _choices(kind: Any) -> list[tuple[str, Any]]:
    """Return (text, value) of a type with few values: bool, Literal, an enum; none for any other."""
    if kind is bool:
        return [(str(_("true")), True), (str(_("false")), False)]
    if get_origin(kind) is Literal:
        return [(str(value), value) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [(member.name, member) for member in kind]
    return []
