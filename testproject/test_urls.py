"""URLs of the tests: the admin and the addresses of jobs."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("jobs/", include("django_jobs.web.urls"))]
