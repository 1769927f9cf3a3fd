"""Access to a job over HTTP: holders of its signed address, its owner (``ACCESS_CHECK``), users with permission.

=========================  ================  ========  =======================
client                     state, progress   result    error messages
=========================  ================  ========  =======================
signed address             yes               yes       no
ACCESS_CHECK says yes      yes               yes       no
``view_job``               yes               no        no
``view_job_arguments``     as above          yes       yes
=========================  ================  ========  =======================

``view_job_arguments`` adds to any of the others and gives no access alone. The result of a job with
``@job(redact=...)`` is never shown here.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.module_loading import import_string

from ..conf import AccessCheck, get_settings
from ..exceptions import ConfigurationError
from ..models import Job
from .problem_kinds import ProblemKind
from .problems import Problem
from .signing import JobKey

VIEW_JOB, VIEW_ARGUMENTS = "django_jobs.view_job", "django_jobs.view_job_arguments"


def check_access(request: HttpRequest, key: JobKey) -> bool:
    """Raise Problem unless the request may see the job by its plain id; tell whether as its owner.

    The answer is the same if there is no such job, so that nobody learns which ids exist.
    """
    access_check = _access_check()
    if access_check is not None:
        job = Job.objects.using(key.database).defer("result_data").filter(pk=key.job_id).first()
        if job is not None and access_check(request, job):
            return True
    if not has_permission(request, VIEW_JOB):
        raise Problem(
            ProblemKind.NOT_PERMITTED,
            f"the plain job id needs the permission {VIEW_JOB}; use the signed address of 202 Accepted",
        )
    return False


def has_permission(request: HttpRequest, permission: str) -> bool:
    """Tell whether the request's user has this permission. It may query the database."""
    user = getattr(request, "user", None)
    return user is not None and user.has_perm(permission)


def _access_check() -> AccessCheck | None:
    given = get_settings().status.access_check
    if not isinstance(given, str):
        return given
    try:
        found: AccessCheck = import_string(given)
    except ImportError as error:
        raise ConfigurationError(
            "DJANGO_JOBS['STATUS']['ACCESS_CHECK']: expected the dotted path of a function of (request, job),"
            f" got {given!r}: {error}"
        ) from error
    return found
