"""Tasks of Django where jobs are taken, as a type checker sees them."""

from django.tasks import task

from django_jobs import Batch, schedule
from django_jobs.contrib.tasks import as_job, with_options


@task
def send(number: int) -> str:
    return str(number)


schedule("poll", send, every=10)
Batch(on_success=send)
as_job(send).s(1)
with_options(send, max_attempts=3)
