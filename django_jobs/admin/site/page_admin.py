"""``PageAdmin``, the base of all admin pages: addresses, page contexts, confirmations and missing rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.models import LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ...conf import get_settings
from ...policy.filter_values import FilterError
from .labels import filter_error_text
from .permissions import has_permission

M = TypeVar("M", bound=Model)

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

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """Read the jobs' own database."""
        return super().get_queryset(request).using(get_settings().database)

    def url(self, name: str, *args: Any) -> str:
        """Return the address of one of this app's pages on this site."""
        return reverse(f"{self.admin_site.name}:django_jobs_{name}", args=args)

    @property
    def changelist_url(self) -> str:
        """The address of the list."""
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")

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
        changelist = (self.changelist_url, str(self.opts.verbose_name_plural).capitalize())
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": title,
            "breadcrumbs": [changelist, *trail],
            **context,
        }

    def confirm(self, request: HttpRequest, *, title: Any, label: Any, back: str, **context: Any) -> TemplateResponse:
        """Return the page that asks before an action; ``label`` is the text of its button.

        Optional context: ``headline``, ``text``, ``rows``, ``details`` as (name, value), ``notes``, ``form_fields``,
        hidden ``fields`` as (name, value), ``is_destructive``, ``trail``.
        """
        context = self.page_context(request, title=title, label=label, back=back, **context)
        return TemplateResponse(request, "admin/django_jobs/confirm.html", context)

    def redirect_missing(self, request: HttpRequest, text: str) -> HttpResponse:
        """Go to the list and say that a row no longer exists."""
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(self.changelist_url)

    def redirect_invalid(self, request: HttpRequest, error: FilterError) -> HttpResponse:
        """Go to the unfiltered list and say which parameter of the address is invalid."""
        self.message_user(request, filter_error_text(error), messages.ERROR)
        return HttpResponseRedirect(self.changelist_url)


class ReadOnlyAdmin(PageAdmin[M]):
    """Shows rows. Adding, changing or deleting them by form would bypass the engine's guards."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
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
    if rows:
        LogEntry.objects.log_actions(request.user.pk, rows, flag, change_message=str(text))  # type: ignore[arg-type]


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
