from celery import Task
from celery.utils.log import get_task_logger

logger = get_task_logger(__name__)


class DiaryTask(Task):
    """Writes how each of its runs has ended into the log, by its arguments as they were given."""

    abstract = True

    def before_start(self, task_id, args, kwargs):
        logger.info("DIARY before %s %s %s", self.name, list(args), kwargs)

    def on_success(self, retval, task_id, args, kwargs):
        logger.info("DIARY success %s %s %s %r", self.name, list(args), kwargs, retval)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        logger.info("DIARY retry %s %s %s %r", self.name, list(args), kwargs, exc)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        logger.info("DIARY failure %s %s %s %r %s", self.name, list(args), kwargs, exc, einfo.type.__name__)

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        logger.info("DIARY return %s %s %r", self.name, status, retval)


class OvenTask(DiaryTask):
    """Retries by itself what an oven does."""

    abstract = True
    autoretry_for = (ConnectionError,)
    dont_autoretry_for = (ConnectionRefusedError,)
    retry_backoff = True
    retry_backoff_max = 1
    retry_kwargs = {"max_retries": 2}
