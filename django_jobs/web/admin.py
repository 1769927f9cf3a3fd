"""Admin pages of tokens: create one with the jobs it may enqueue, show its text once, revoke it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .. import registry
from ..admin.site.page_admin import ReadOnlyAdmin, actor
from ..admin.site.times import format_timestamp
from ..builtin_jobs import has_fixed_arguments
from .models import Token
from .tokens import create_token, revoke_token

ADD, REVOKE = "django_jobs_web.add_token", "django_jobs_web.revoke_token"


def _names_of_project() -> list[str]:
    """Return the names of all jobs but those of django_jobs, whose arguments can do what permissions guard."""
    return [one.name for one in registry.all_definitions() if not has_fixed_arguments(one.name)]


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the type checker only
    """A new token: its name and the jobs that it may enqueue, or that it may read metrics."""

    job_names = forms.MultipleChoiceField(
        label=_("May enqueue"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=lambda: [(name, name) for name in _names_of_project()],
    )

    class Meta:
        model = Token
        fields = ("name", "job_names", "reads_metrics")

    def clean(self) -> None:
        """Refuse a token that may do nothing."""
        super().clean()
        if not self.errors and not self.cleaned_data["job_names"] and not self.cleaned_data["reads_metrics"]:
            self.add_error("job_names", _("Choose a job, or metrics."))


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin[Token]):
    """Lists tokens, newest first; shows a token's text only to the user who created it, once."""

    list_display = ("name", "key", "status_display", "may_enqueue", "created", "last_used")
    ordering = ("-pk",)
    sortable_by = ("name",)
    search_fields = ("name", "key")
    actions = ("revoke_selected",)
    form = TokenForm
    readonly_fields = ("status_display", "may_enqueue", "reads_metrics", "created", "last_used")

    class Media:
        css = {"all": ("django_jobs/admin.css",)}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the user may create tokens, and so let others enqueue any registered job."""
        return request.user.has_perm(ADD)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse, superusers too: another list of jobs is another token."""
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the fields of the form, or those shown of a token; never the hash of its secret."""
        if obj is None:
            return ["name", "job_names", "reads_metrics"]
        return ["name", "key", *self.readonly_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Return all fields of an existing token."""
        return [] if obj is None else self.get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of a new token; an existing one is only shown."""
        return super().get_form(request, obj, change, **({"form": forms.ModelForm} if obj else {}), **kwargs)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Show Django's Save button for a new token."""
        if kwargs.get("add"):
            context.update(show_save_and_continue=False, show_save_and_add_another=False)
            return super(ReadOnlyAdmin, self).render_change_form(request, context, *args, **kwargs)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        """Create the token; its text reaches only the page that answers this request."""
        token, text = create_token(
            obj.name, job_names=obj.job_names, reads_metrics=obj.reads_metrics, by=actor(request)
        )
        obj.__dict__.update(token.__dict__)
        obj.plaintext_token = text  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> HttpResponse:
        """Show the text of the new token, this one time."""
        text = obj.plaintext_token  # type: ignore[attr-defined]
        context = self.page_context(request, title=_("The new token"), token=obj, text=text)
        response = TemplateResponse(request, "admin/django_jobs_web/token/created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def get_urls(self) -> list[Any]:
        """Add the URL of the page's Revoke button."""
        view = self.admin_site.admin_view(self._revoke_view)
        return [path("<int:pk>/revoke/", view, name="django_jobs_web_token_revoke"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Add the Revoke button for users with the permission."""
        context = {"can_revoke": self.has_revoke_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may revoke tokens."""
        return request.user.has_perm(REVOKE)

    @admin.action(description=_("Revoke selected tokens"), permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, tokens: QuerySet[Token]) -> None:
        """Revoke the selected tokens."""
        revoked = sum([self._revoke(request, token) for token in tokens])
        text = ngettext("%d token was revoked.", "%d tokens were revoked.", revoked) % revoked
        self.message_user(request, text, messages.SUCCESS if revoked else messages.WARNING)

    def _revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST":
            raise Http404
        if not self.has_revoke_permission(request):
            raise PermissionDenied(f"the permission {REVOKE} is needed")
        token = Token.objects.filter(pk=pk).first()
        if token is None:
            raise Http404
        if self._revoke(request, token):
            self.message_user(request, _("The token was revoked."), messages.SUCCESS)
        else:
            self.message_user(request, _("The token was already revoked."), messages.WARNING)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:django_jobs_web_token_change", args=[pk]))

    def _revoke(self, request: HttpRequest, token: Token) -> bool:
        revoked = revoke_token(token.key, by=actor(request))
        if revoked:
            self.log_change(request, token, str(_("Revoked.")))
        return revoked

    @admin.display(description=_("status"))
    def status_display(self, token: Token) -> str | SafeString:
        """Return "valid", or by whom and when it was revoked."""
        if not token.is_revoked:
            return str(_("valid"))
        text = _("revoked by %s") % token.revoked_by if token.revoked_by else _("revoked")
        return format_html(
            '<span class="jobs-badge jobs-badge-bad">{}</span> {}', text, format_timestamp(token.revoked_at)
        )

    @admin.display(description=_("may enqueue"))
    def may_enqueue(self, token: Token) -> str | SafeString:
        """Return the names of the jobs that it allows."""
        return format_html_join(", ", "{}", ((name,) for name in token.job_names)) or "-"

    @admin.display(description=_("created"))
    def created(self, token: Token) -> SafeString:
        """Return when it was created, and by whom."""
        return format_html("{} {}", format_timestamp(token.created_at), token.created_by)

    @admin.display(description=_("last used"))
    def last_used(self, token: Token) -> str:
        """Return when it was last used, to the minute."""
        return format_timestamp(token.last_used_at)
