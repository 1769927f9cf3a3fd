"""``PageAdmin``, the base of all admin pages: addresses, page contexts, confirmations and missing rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

import django
from django.contrib import admin, messages
from django.contrib.admin import AdminSite, helpers
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ...conf import get_settings
from ...conf.database import current_database
from ...policy.filter_values import FilterError
from .app_index import index_url
from .databases import logged_id, pattern_on_named_database
from .labels import filter_error_text
from .links import BACK_FIELD, attach_request, previous_page
from .menu import arrange_menu
from .named_addresses import name_in_html
from .odd_input import guard_pattern
from .permissions import has_permission

M = TypeVar("M", bound=Model)
ROW_OF_HISTORY = "django_jobs_row_of_history"


class _RowOfHistory(NamedTuple):
    """The row whose log is shown, and its id in the log."""

    row_id: str
    logged: str


if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin
else:

    class _ModelAdmin(admin.ModelAdmin):
        """Django's ModelAdmin, which is generic for the type checker only."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


class PageAdmin(_ModelAdmin[M]):
    """A ModelAdmin over the jobs' database. Page modules know this base and never each other's admin."""

    show_full_result_count = False
    list_per_page = 50

    class Media:
        css: ClassVar[Any] = {"all": ("django_jobs/admin.css", "django_jobs/job.css")}

    def __init__(self, model: type[M], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        arrange_menu(admin_site)

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """Read the jobs' own database."""
        return super().get_queryset(request).using(current_database())

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> M | None:
        """Return the row, whose columns know the request."""
        asked = vars(request).get(ROW_OF_HISTORY)
        if asked is not None and object_id == asked.logged:
            object_id = asked.row_id
        row = super().get_object(request, object_id, from_field)
        attach_request([] if row is None else [row], request)
        return row

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the log of the row of this database, and not of that with the same id in another."""
        row_id = unquote(object_id)
        asked = _RowOfHistory(row_id, logged_id(row_id, current_database()))
        vars(request)[ROW_OF_HISTORY] = asked
        return super().history_view(request, quote(asked.logged), extra_context)

    def log_addition(self, request: HttpRequest, obj: M, message: Any) -> LogEntry:
        """Write to the log under the id with its database."""
        if not get_settings().has_many_databases:
            return super().log_addition(request, obj, message)
        return _log_row(request, obj, ADDITION, message)

    def log_change(self, request: HttpRequest, obj: M, message: Any) -> LogEntry:
        """Write to the log under the id with its database."""
        if not get_settings().has_many_databases:
            return super().log_change(request, obj, message)
        return _log_row(request, obj, CHANGE, message)

    def message_user(self, request: HttpRequest, message: Any, *args: Any, **kwargs: Any) -> None:
        """Add a message; where jobs are in several databases it names its own: any tab may show it."""
        if get_settings().has_many_databases:
            alias = current_database()
            text = name_in_html(conditional_escape(message), alias, roots=(index_url(self.admin_site),))
            message = format_html("<bdi>{}</bdi>: {}", alias, SafeString(text))
        super().message_user(request, message, *args, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list, whose rows' columns know the request."""
        changelist = super().get_changelist_instance(request)
        attach_request(changelist.result_list, request)
        return changelist

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this app's pages on this site."""
        return reverse(f"{self.admin_site.name}:django_jobs_{name}", args=args)

    @property
    def changelist_url(self) -> str:
        """The address of the list."""
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")

    @property
    def section_url(self) -> str:
        """The address to which the menu leads, the first of the trail above a page: the list, unless overridden."""
        return self.changelist_url

    @property
    def urls(self) -> list[Any]:
        """The addresses of this admin; each answers what no page can use, such as a NUL character, with a message.

        Control characters of what is shown are symbols in each.
        """
        guarded = (guard_pattern(pattern, self.refuse, key=self.opts.pk) for pattern in self.get_urls())
        return [pattern_on_named_database(pattern, self) for pattern in guarded]

    def only_database(self) -> str | None:
        """Return the one database in which these rows are, where jobs are in several; None if each has some."""
        return None

    def refuse(self, request: HttpRequest, text: str) -> HttpResponse:
        """Go to the unfiltered list and say what was wrong."""
        self.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect(self.changelist_url)

    def page_path(self, route: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
        """Return the address of ``view(self, request, **parts)`` for users who may view the model.

        An invalid filter in the address leads to the unfiltered list, with a message.
        """

        def guarded(request: HttpRequest, **parts: Any) -> HttpResponseBase:
            if not self.has_view_permission(request):
                raise PermissionDenied
            request.current_app = self.admin_site.name
            try:
                return view(self, request, **parts)
            except FilterError as error:
                return self.redirect_invalid(request, error)

        return path(route, self.admin_site.admin_view(guarded), name=f"django_jobs_{name}")

    def page_context(
        self, request: HttpRequest, *, title: Any, trail: Sequence[tuple[str, Any]] = (), **context: Any
    ) -> dict[str, Any]:
        """Return the context of ``admin/django_jobs/base.html``; ``trail`` are the (address, text) above the page."""
        section = (self.section_url, capfirst(self.opts.verbose_name_plural))
        trail = (section, *trail)
        return page_frame(request, self.admin_site, self.opts, title=title, trail=trail) | {
            "media": self.media,
            **context,
        }

    def confirm(self, request: HttpRequest, *, title: Any, label: Any, back: str, **context: Any) -> TemplateResponse:
        """Return the page that asks before an action; ``label`` is the text of its button.

        Optional context: ``headline``, ``text``, ``rows``, ``details`` as (name, value), ``notes``, ``form_fields``,
        hidden ``fields`` as (name, value), ``is_destructive``, ``trail``. "No" leads to the page of this app from which
        the user came, to ``back`` if that is unknown.
        """
        back = previous_page(request, self.admin_site, back)
        context["fields"] = [*context.get("fields", ()), (BACK_FIELD, back)]
        context = self.page_context(request, title=title, label=label, back=back, **context)
        return TemplateResponse(request, "admin/django_jobs/confirm.html", context)

    def redirect_missing(self, request: HttpRequest, text: str) -> HttpResponse:
        """Go to the list and say that a row no longer exists."""
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(self.changelist_url)

    def redirect_invalid(self, request: HttpRequest, error: FilterError) -> HttpResponse:
        """Go to the unfiltered list and say which parameter of the address is invalid."""
        return self.refuse(request, filter_error_text(error))


def page_frame(
    request: HttpRequest, site: AdminSite, opts: Any, *, title: Any, trail: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """Return what ``admin/django_jobs/base.html`` needs on any site and Django."""
    return site.each_context(request) | own_frame(opts, title=title, trail=trail)


def own_frame(opts: Any, *, title: Any, trail: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the part of ``page_frame`` that is not the site's."""
    return {
        "opts": opts,
        "title": title,
        "breadcrumbs": trail,
        "breadcrumbs_are_a_list": django.VERSION >= (6, 1),
    }


class ReadOnlyAdmin(PageAdmin[M]):
    """Shows rows. Adding, changing or deleting them by form would bypass the engine's guards."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: actions change rows, each with a permission of its own."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse; purge and retention delete."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return every field."""
        own = [field.name for field in self.opts.concrete_fields]
        return [*own, *(name for name in self.readonly_fields if name not in own and isinstance(name, str))]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave out the buttons that save."""
        context.update(show_save=False, show_save_and_continue=False, show_save_and_add_another=False)
        return super().render_change_form(request, context, *args, **kwargs)


def actor(request: HttpRequest) -> str:
    """Return the user's name, as it is stored with dead letters, queues and workers."""
    return request.user.get_username()


def log_rows(request: HttpRequest, rows: Sequence[Model], flag: int, text: Any) -> None:
    """Write an entry of Django's admin log for each row. One statement."""
    if not rows:
        return
    if get_settings().has_many_databases:
        LogEntry.objects.bulk_create([_log_entry(request, row, flag, str(text)) for row in rows])
    else:
        LogEntry.objects.log_actions(request.user.pk, rows, flag, change_message=str(text))  # type: ignore[arg-type]


def _log_row(request: HttpRequest, row: Model, flag: int, message: Any) -> LogEntry:
    entry = _log_entry(request, row, flag, json.dumps(message) if isinstance(message, list) else message)
    entry.save()
    return entry


def _log_entry(request: HttpRequest, row: Model, flag: int, message: str) -> LogEntry:
    """Return an entry whose link leads to the row's database."""
    alias = row._state.db
    is_first = alias in (None, get_settings().database)
    return LogEntry(
        user_id=request.user.pk,  # type: ignore[misc]  # of a member of staff, who has one
        content_type_id=ContentType.objects.get_for_model(row, for_concrete_model=False).pk,
        object_id=logged_id(row.pk, alias),
        object_repr=(str(row) if is_first else f"{alias}: {row}")[:200],
        action_flag=flag,
        change_message=message,
    )


def selection_fields(action: str, rows: Iterable[Model]) -> list[tuple[str, Any]]:
    """Return the hidden fields that post a list's action again for the selected rows."""
    return [("action", action), *((helpers.ACTION_CHECKBOX_NAME, row.pk) for row in rows)]


def column(description: Any, render: Callable[[Any], Any], **options: Any) -> Any:
    """Return a display method of a ModelAdmin: ``render(row)`` under the title ``description``."""

    def display(_model_admin: Any, row: Any) -> Any:
        return render(row)

    return admin.display(description=description, **options)(display)


def needs(codename: str) -> Any:
    """Return a ``has_..._permission`` method of a ModelAdmin, which guards its actions."""

    def has_action_permission(_model_admin: Any, request: HttpRequest) -> bool:
        return has_permission(request, codename)

    return has_action_permission
