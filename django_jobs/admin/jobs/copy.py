"""Enqueue a copy of a job: as it is, or with its arguments changed and checked against the signature."""

from __future__ import annotations

import json
from secrets import token_urlsafe
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...arguments.references import check_references
from ...arguments.serialization import decode
from ...callables import type_hints
from ...conf.readers import MAX_PRIORITY, MAX_QUEUE_NAME_LENGTH, MIN_PRIORITY, as_queue_name
from ...exceptions import ConfigurationError, JobsError, ResultNotPassedError, ResultUnreadableError
from ...models import Job
from ...once import once
from ...operations import replay
from ...policy.metadata import copied_metadata
from ...policy.redact import unmask
from ...redaction import redact_arguments, redact_job_value
from ...registry import DefinedJob
from ...store.results.inputs import with_results
from ..site.arguments_field import ArgumentsField
from ..site.page_admin import PageAdmin, log_rows
from ..site.permissions import ENQUEUE, VIEW_ARGUMENTS, has_permission, require_permission
from .actions import missing_text

FORM_KEY_FIELD = "form_key"
"""Identifies a shown form: submitted twice, it makes one copy."""


class CopyForm(forms.Form):
    """The editable parts of a copy. ``cleaned_data["arguments"]`` holds args and kwargs of the call."""

    arguments = ArgumentsField(
        label=_("Arguments"),
        widget=forms.Textarea({"rows": 12, "cols": 80, "spellcheck": "false", "class": "vLargeTextField"}),
        help_text=_("A JSON object of the job's arguments. An unchanged mask keeps its secret value."),
    )
    queue_name = forms.CharField(label=_("Queue"), max_length=MAX_QUEUE_NAME_LENGTH)
    priority = forms.IntegerField(label=_("Priority"), min_value=MIN_PRIORITY, max_value=MAX_PRIORITY)

    def __init__(self, data: Any, *, job: Job, definition: DefinedJob) -> None:
        initial = {
            "arguments": redact_arguments(job.name, job.arguments),
            "queue_name": job.queue_name,
            "priority": job.priority,
        }
        super().__init__(data, initial=initial)
        self.job, self.definition = job, definition
        self.fields["arguments"].encoder = _IndentedJSONEncoder  # type: ignore[attr-defined]

    def clean_queue_name(self) -> str:
        """Check the queue's name."""
        try:
            return as_queue_name("queue", self.cleaned_data["queue_name"])
        except ConfigurationError as error:
            raise ValidationError(str(error)) from None

    def clean_arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return args and kwargs of the call, with secrets put back in place of their masks."""
        given = self.cleaned_data["arguments"]
        if not isinstance(given, dict):
            raise ValidationError(_('Enter a JSON object such as {"user_id": 7}.'))
        job, signature = self.job, self.definition.signature
        try:
            whole = unmask(given, original=job.arguments, masked=redact_arguments(job.name, job.arguments))
            check_references(whole, annotations=type_hints(self.definition.function).values(), original=job.arguments)
            args, kwargs = signature.call_arguments(decode(whole))
            signature.bind(args, kwargs)
        except (JobsError, ValueError, TypeError, ArithmeticError) as error:
            raise ValidationError(str(error)) from None
        except ObjectDoesNotExist as error:
            raise ValidationError(
                _("A row in the arguments no longer exists: %(error)s"), params={"error": error}
            ) from None
        return args, kwargs

    def enqueue(self) -> Job:
        """Enqueue the copy by the job's definition. Raises JobsError if that refuses it."""
        data, job = self.cleaned_data, self.job
        args, kwargs = data["arguments"]
        metadata = decode(copied_metadata(job.metadata, original_id=job.pk))
        options = self.definition.using(
            queue_name=data["queue_name"],
            priority=data["priority"],
            max_attempts=job.max_attempts,
            metadata=metadata,
        )
        return options.enqueue(*args, **kwargs)


class _IndentedJSONEncoder(json.JSONEncoder):
    """Writes indented JSON for people to edit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2, "ensure_ascii": False})


def copy_view(model_admin: PageAdmin[Job], request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form, or enqueue the copy; a job that is not registered here is copied unchanged."""
    require_permission(request, ENQUEUE)
    job = model_admin.get_object(request, str(pk))
    if job is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    if has_secrets(job):
        require_permission(request, VIEW_ARGUMENTS)
    try:
        job.arguments = with_results(job.pk, job.arguments)
    except (ResultNotPassedError, ResultUnreadableError) as error:
        model_admin.message_user(request, str(error), messages.WARNING)
        return HttpResponseRedirect(model_admin.url("job_change", pk))
    definition = registry.find(job.name)
    form = None
    if definition is not None and has_permission(request, VIEW_ARGUMENTS):
        form = CopyForm(request.POST if request.method == "POST" else None, job=job, definition=definition)
    if request.method == "POST" and (form is None or form.is_valid()):
        made, is_first = _create_copy_once(form, job, request.POST.get(FORM_KEY_FIELD, ""))
        if made is not None:
            if is_first and not made.is_duplicate:
                text = gettext("Enqueued as a copy of job %(id)s.") % {"id": job.pk}
                log_rows(request, [made], ADDITION, text)
            return _redirect_to_copy(model_admin, request, job, made)
        if form is None:
            return model_admin.redirect_missing(request, missing_text(pk))
    job_url = model_admin.url("job_change", pk)
    context = model_admin.page_context(
        request,
        title=gettext("Enqueue a copy of job %(id)s") % {"id": pk},
        subtitle=job.name,
        trail=[(job_url, f"#{pk}")],
        form=form,
        is_known=definition is not None,
        signature=f"{job.name}{definition.signature.signature}" if definition else "",
        back=job_url,
        form_key=request.POST.get(FORM_KEY_FIELD) or token_urlsafe(16),
    )
    return TemplateResponse(request, "admin/django_jobs/job/copy.html", context)


def has_secrets(job: Job) -> bool:
    """Tell whether anything that a copy takes over is masked."""
    shown = (redact_arguments(job.name, job.arguments), redact_job_value(job, job.metadata))
    return shown != (job.arguments, job.metadata)


def copy_many(model_admin: PageAdmin[Job], request: HttpRequest, jobs: QuerySet[Job]) -> None:
    """Enqueue unchanged copies of selected jobs; those with secrets only for users who may see arguments."""
    chosen = list(jobs.order_by("pk"))
    copied = [job for job in chosen if has_permission(request, VIEW_ARGUMENTS) or not has_secrets(job)]
    copied = [job for job in copied if _has_predecessor_results(job)]
    ids = replay(Job.objects.filter(pk__in=[job.pk for job in copied])) if copied else []
    log_rows(request, list(Job.objects.filter(pk__in=ids)), ADDITION, gettext("Enqueued as a copy."))
    text = ngettext(
        "%(made)d copy of %(chosen)d job enqueued.", "%(made)d copies of %(chosen)d jobs enqueued.", len(ids)
    ) % {"made": len(ids), "chosen": len(chosen)}
    if not ids:
        model_admin.message_user(request, text, messages.WARNING)
        return
    address = f"{model_admin.url('job_changelist')}?ids={','.join(map(str, ids))}"
    model_admin.message_user(
        request, format_html('{} <a href="{}">{}</a>', text, address, gettext("Show")), messages.SUCCESS
    )


def _has_predecessor_results(job: Job) -> bool:
    """Tell whether the results of other jobs in the arguments are still there to be copied."""
    try:
        with_results(job.pk, job.arguments)
    except (ResultNotPassedError, ResultUnreadableError):
        return False
    return True


class _NotCopiedError(Exception):
    """No copy was made, so the next submission is the first."""


def _create_copy_once(form: CopyForm | None, job: Job, form_key: str) -> tuple[Job | None, bool]:
    """Return the copy and True; for a repeated submission of the same form the first copy and False."""
    if not form_key:
        return _create_copy(form, job), True
    try:
        with once("copied in the admin", job.pk, form_key) as first:
            if first:
                made = _create_copy(form, job)
                if made is None:
                    raise _NotCopiedError
                first.store(made.pk)
                return made, True
            return Job.objects.filter(pk=first.stored).first(), False
    except _NotCopiedError:
        return None, True


def _create_copy(form: CopyForm | None, job: Job) -> Job | None:
    """Return the copy, None if the form has another error or the job is gone."""
    if form is None:
        return Job.objects.filter(pk__in=replay(job)).first()
    try:
        return form.enqueue()
    except (JobsError, ValueError, TypeError) as error:
        form.add_error("arguments", str(error))
    except ObjectDoesNotExist as error:
        form.add_error(None, str(error))
    return None


def _redirect_to_copy(model_admin: PageAdmin[Job], request: HttpRequest, job: Job, made: Job) -> HttpResponse:
    if made.is_duplicate:
        text = gettext("No copy was enqueued: the job is unique and job %(id)s is already waiting.")
        model_admin.message_user(request, text % {"id": made.pk}, messages.WARNING)
    else:
        text = gettext("Job %(id)s enqueued as a copy of job %(original)s.")
        model_admin.message_user(request, text % {"id": made.pk, "original": job.pk}, messages.SUCCESS)
    return HttpResponseRedirect(model_admin.url("job_change", made.pk))
