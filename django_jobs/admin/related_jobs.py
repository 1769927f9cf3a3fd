"""``JobsForObjectMixin``: a link from any row of the project to the jobs that have it as an argument."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, prefetch_related_objects
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.loader import select_template
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext

from ..conf import get_settings
from ..policy.filter_values import FilterError
from ..store.clock import database_now
from ..store.search.jobs import find_jobs_of_object
from .site.app_index import index_url
from .site.databases import on_named_database, row_text
from .site.labels import filter_error_text, format_duration, run_duration, state_label, wait_duration
from .site.named_addresses import name_database
from .site.page_admin import page_frame
from .site.paging import CURSOR_PARAMETER, page_time, paging_of
from .site.times import format_timestamp

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object


@dataclass(frozen=True, slots=True)
class _Pages:
    """The page of a row's jobs, which each database has."""

    admin_site: AdminSite

    @property
    def section_url(self) -> str:
        """The dashboard."""
        return index_url(self.admin_site)

    def only_database(self) -> str | None:
        """Return none: each may have jobs of the row."""
        return None

    def refuse(self, request: HttpRequest, text: str) -> HttpResponseBase:
        """Go to the dashboard and say what was wrong."""
        messages.error(request, text)
        return HttpResponseRedirect(self.section_url)


class JobsForObjectMixin(_Admin):
    """Adds a link *Jobs* to the change page of a ModelAdmin, and the page of these jobs.

    Put it before ``ModelAdmin``. Listed are jobs with the row itself at any depth of their arguments, and with
    ``jobs_argument = "user_id"`` also those with its key under that name. Users need ``django_jobs.view_job``.
    """

    jobs_argument: ClassVar[str | None] = None

    def get_urls(self) -> list[Any]:
        """Add the page of the jobs."""
        view = self.admin_site.admin_view(self.jobs_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_jobs"
        return [path("<path:object_id>/jobs/", view, name=name), *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the link to the page's own template."""
        response: Any = super().render_change_form(request, context, *args, **kwargs)
        row = context.get("original")
        if row is None or not request.user.has_perm("django_jobs.view_job"):
            return response
        names = response.template_name
        parent = select_template([names] if isinstance(names, str) else list(names))
        response.template_name = "admin/django_jobs/job/jobs_link.html"
        response.context_data |= {"jobs_parent": parent, "jobs_url": self._jobs_url(row)}
        return response

    def jobs_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """List the jobs by pages. At most ten statements."""
        return on_named_database(partial(self._list_jobs, object_id=object_id), _Pages(self.admin_site))(request)

    def _list_jobs(self, request: HttpRequest, *, object_id: str) -> HttpResponse:
        # PostgreSQL's texts have no NUL character, and so no key has one.
        row = None if "\0" in object_id else self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(gettext("No such row."))
        if not self.has_view_permission(request, row) or not request.user.has_perm("django_jobs.view_job"):
            raise PermissionDenied
        address = self._url("jobs", row.pk)
        try:
            after = request.GET.get(CURSOR_PARAMETER, "")
            page = find_jobs_of_object(row, argument=self.jobs_argument, after=after, within=page_time())
        except FilterError as error:
            self.message_user(request, filter_error_text(error), messages.ERROR)
            return HttpResponseRedirect(address)
        prefetch_related_objects(page.rows, "worker")
        now = database_now()
        site = self.admin_site
        rows = [
            {
                "job": job,
                "id_text": row_text(job.pk),
                "url": reverse(f"{site.name}:django_jobs_job_change", args=[job.pk]),
                "state": state_label(job.state),
                "waited": format_duration(wait_duration(job, now=now)),
                "ran": format_duration(run_duration(job, now=now)),
                "enqueued": format_timestamp(job.enqueued_at, now=now),
            }
            for job in page.rows
        ]
        is_first = CURSOR_PARAMETER not in request.GET
        next_url = f"{address}?{urlencode({CURSOR_PARAMETER: page.next_cursor})}" if page.next_cursor else None
        trail = (
            (self._url("changelist"), capfirst(self.opts.verbose_name_plural)),
            (self._url("change", row.pk), Truncator(row).words(18)),
        )
        context = {
            **page_frame(request, site, self.opts, title=gettext("Jobs of %(row)s") % {"row": row}, trail=trail),
            "rows": rows,
            "paging": paging_of(page, first_url=None if is_first else address, next_url=next_url),
        }
        request.current_app = site.name
        return TemplateResponse(request, "admin/django_jobs/job/related_jobs.html", context)

    def _jobs_url(self, row: Model) -> str:
        """Return the address of the row's jobs, in the database of the row if that holds jobs."""
        address, alias = self._url("jobs", row.pk), row._state.db
        return name_database(address, alias) if alias in get_settings().databases[1:] else address

    def _url(self, name: str, *args: Any) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{name}", args=args)
