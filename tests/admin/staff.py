"""Users of the admin with the permissions of a test."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse, reverse_lazy

INDEX = reverse_lazy("admin:app_list", args=["django_jobs"])
"""The dashboard."""


def log_in(client: Client, *permissions: str) -> User:
    """Log a member of staff in who has these permissions and no other."""
    user = User.objects.create_user("bo", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    client.force_login(user)
    return user


def url(name: str, *args: object) -> str:
    """Return the address of one of our pages."""
    return reverse(f"admin:django_jobs_{name}", args=args)
