"""Parts of every form that enqueues a job: queue and priority, the check of arguments, one job a submission."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...arguments.references import check_references
from ...arguments.serialization import decode
from ...conf.readers import MAX_QUEUE_NAME_LENGTH, as_queue_name
from ...exceptions import ConfigurationError, JobsError
from ...functions.callables import type_hints
from ...models import Job
from ...once import once
from ...policy.priorities import MAX_PRIORITY, MIN_PRIORITY
from ...registry import DefinedJob

FORM_KEY_FIELD = "form_key"
"""Identifies a shown form: submitted twice, it makes one job."""


def builtin_text(name: str) -> str:
    """Return why no form enqueues a job of django_jobs itself: its arguments can do what other permissions guard."""
    text = gettext(
        "Nothing was enqueued: %(name)s is a job of django_jobs itself. Use the action of the admin that does it."
    )
    return text % {"name": name}


class EnqueueForm(forms.Form):
    """Queue and priority of a new job."""

    queue_name = forms.CharField(label=_("Queue"), max_length=MAX_QUEUE_NAME_LENGTH)
    priority = forms.IntegerField(label=_("Priority"), min_value=MIN_PRIORITY, max_value=MAX_PRIORITY)

    def clean_queue_name(self) -> str:
        """Check the queue's name."""
        try:
            return as_queue_name("queue", self.cleaned_data["queue_name"])
        except ConfigurationError as error:
            raise ValidationError(str(error)) from None


class IndentedJSONEncoder(json.JSONEncoder):
    """Writes indented JSON for people to edit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2, "ensure_ascii": False})


def read_call(
    definition: DefinedJob, read_arguments: Callable[[], Mapping[str, Any]], *, original: Any = None
) -> tuple[list[Any], dict[str, Any]]:
    """Return args and kwargs of a call with typed arguments, as stored. Raises ValidationError.

    ``original``: the arguments of the copied job; rows that it refers to may be given again.
    """
    signature = definition.signature
    try:
        stored = read_arguments()
        check_references(stored, annotations=type_hints(definition.function).values(), original=original)
        args, kwargs = signature.call_arguments(decode(stored))
        signature.bind(args, kwargs)
    except (JobsError, ValueError, TypeError, ArithmeticError) as error:
        raise ValidationError(str(error)) from None
    except ObjectDoesNotExist as error:
        raise ValidationError(
            _("A row in the arguments no longer exists: %(error)s"), params={"error": error}
        ) from None
    return args, kwargs


class _NotCreatedError(Exception):
    """No job was made, so the next submission is the first."""


def create_once(create: Callable[[], Job | None], *key: Any, form_key: str) -> tuple[Job | None, bool]:
    """Return the new job and True; for a repeated submission of the same form the first job and False."""
    if not form_key:
        return create(), True
    try:
        with once(*key, form_key) as first:
            if first:
                made = create()
                if made is None:
                    raise _NotCreatedError
                first.store(made.pk)
                return made, True
            return Job.objects.filter(pk=first.stored).first(), False
    except _NotCreatedError:
        return None, True


def enqueue_by_form(form: forms.Form, enqueue: Callable[[], Job], *, field: str | None) -> Job | None:
    """Return the new job, None if the form has another error, which is then one of ``field``."""
    try:
        return enqueue()
    except (JobsError, ValueError, TypeError) as error:
        form.add_error(field, str(error))
    except ObjectDoesNotExist as error:
        form.add_error(None, str(error))
    return None
