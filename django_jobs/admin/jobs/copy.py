"""Enqueue a copy of a job: as it is, or with its arguments changed and checked against the signature."""

from __future__ import annotations

from functools import partial
from secrets import token_urlsafe
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import ADDITION
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...arguments.serialization import decode
from ...builtin_jobs import has_fixed_arguments, is_builtin
from ...conf.database import current_database
from ...exceptions import ResultNotPassedError, ResultUnreadableError
from ...models import Job
from ...operations import replay
from ...policy.metadata import copied_metadata
from ...policy.redact import unmask
from ...redaction import redact_arguments, redact_job_value
from ...registry import DefinedJob
from ...store.results.inputs import with_results
from ..site.arguments_field import ArgumentsField
from ..site.databases import row_text, shown_id
from ..site.enqueue_form import (
    FORM_KEY_FIELD,
    EnqueueForm,
    IndentedJSONEncoder,
    builtin_text,
    create_once,
    enqueue_by_form,
    read_call,
)
from ..site.page_admin import PageAdmin, log_rows
from ..site.permissions import ENQUEUE, VIEW_ARGUMENTS, has_permission, require_permission
from .actions import missing_text


class CopyForm(EnqueueForm):
    """The editable parts of a copy. ``cleaned_data["arguments"]`` holds args and kwargs of the call."""

    arguments = ArgumentsField(
        label=_("Arguments"),
        widget=forms.Textarea({"rows": 12, "cols": 80, "spellcheck": "false", "class": "vLargeTextField"}),
        help_text=_("A JSON object of the job's arguments. An unchanged mask keeps its secret value."),
    )

    def __init__(self, data: Any, *, job: Job, definition: DefinedJob) -> None:
        initial = {
            "arguments": redact_arguments(job.name, job.arguments),
            "queue_name": job.queue_name,
            "priority": job.priority,
        }
        super().__init__(data, initial=initial)
        self.job, self.definition = job, definition
        self.fields["arguments"].encoder = IndentedJSONEncoder  # type: ignore[attr-defined]
        self.order_fields(["arguments"])

    def clean_arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return args and kwargs of the call, with secrets put back in place of their masks."""
        given = self.cleaned_data["arguments"]
        if not isinstance(given, dict):
            raise ValidationError(_('Enter a JSON object such as {"user_id": 7}.'))
        job = self.job

        def read() -> Any:
            return unmask(given, original=job.arguments, masked=redact_arguments(job.name, job.arguments))

        return read_call(self.definition, read, original=job.arguments)

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
            database=current_database(),
        )
        return options.enqueue(*args, **kwargs)


def copy_view(model_admin: PageAdmin[Job], request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form, or enqueue the copy; a job that is not registered here is copied unchanged."""
    require_permission(request, ENQUEUE)
    job = model_admin.get_object(request, str(pk))
    if job is None:
        return model_admin.redirect_missing(request, missing_text(pk))
    if is_builtin(job.name):
        model_admin.message_user(request, builtin_text(job.name), messages.WARNING)
        return HttpResponseRedirect(model_admin.url("job_change", pk))
    if has_secrets(job):
        require_permission(request, VIEW_ARGUMENTS)
    try:
        job.arguments = with_results(job.pk, job.arguments)
    except (ResultNotPassedError, ResultUnreadableError) as error:
        model_admin.message_user(request, str(error), messages.WARNING)
        return HttpResponseRedirect(model_admin.url("job_change", pk))
    definition = registry.find(job.name)
    form = None
    is_fixed = has_fixed_arguments(job.name)
    if definition is not None and not is_fixed and has_permission(request, VIEW_ARGUMENTS):
        form = CopyForm(request.POST if request.method == "POST" else None, job=job, definition=definition)
    if request.method == "POST" and (form is None or form.is_valid()):
        made, is_first = create_once(
            partial(_create_copy, form, job),
            "copied in the admin",
            job.pk,
            form_key=request.POST.get(FORM_KEY_FIELD, ""),
        )
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
        title=gettext("Enqueue a copy of job %(id)s") % {"id": shown_id(pk)},
        subtitle=job.name,
        trail=[(job_url, row_text(pk))],
        form=form,
        is_known=definition is not None,
        is_fixed=is_fixed,
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
    copied = [job for job in copied if not is_builtin(job.name) and _has_predecessor_results(job)]
    ids = replay(Job.objects.filter(pk__in=[job.pk for job in copied])) if copied else []
    log_rows(request, list(Job.objects.filter(pk__in=ids)), ADDITION, gettext("Enqueued as a copy."))
    text = ngettext("%(made)d of %(chosen)d copy enqueued.", "%(made)d of %(chosen)d copies enqueued.", len(chosen)) % {
        "made": len(ids),
        "chosen": len(chosen),
    }
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


def _create_copy(form: CopyForm | None, job: Job) -> Job | None:
    """Return the copy, None if the form has another error or the job is gone."""
    if form is None:
        return Job.objects.filter(pk__in=replay(job)).first()
    return enqueue_by_form(form, form.enqueue, field="arguments")


def _redirect_to_copy(model_admin: PageAdmin[Job], request: HttpRequest, job: Job, made: Job) -> HttpResponse:
    if made.is_duplicate:
        text = gettext("No copy was enqueued: the job is unique and job %(id)s is already waiting.")
        model_admin.message_user(request, text % {"id": made.pk}, messages.WARNING)
    else:
        text = gettext("Job %(id)s enqueued as a copy of job %(original)s.")
        model_admin.message_user(request, text % {"id": made.pk, "original": job.pk}, messages.SUCCESS)
    return HttpResponseRedirect(model_admin.url("job_change", made.pk))
