"""``DetailAdmin``: a list by pages whose rows have a page of their own instead of a form."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from .page_admin import M
from .paging import PagedAdmin


class DetailAdmin(PagedAdmin[M]):
    """Rows are changed by actions only, each with a permission of its own."""

    detail_page: Any
    """The module of the page: ``detail(model_admin, request, row)``, and ``missing_text(pk)`` for a deleted row."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the row's page."""
        if not self.has_view_permission(request) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        request.current_app = self.admin_site.name
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self.redirect_missing(request, self.detail_page.missing_text(object_id))
        response: HttpResponse = self.detail_page.detail(self, request, row)
        return response
