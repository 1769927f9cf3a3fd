"""Tasks in plain calls and eagerly: names, base classes, requests, retries, handlers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from django_jobs import registry
from django_jobs.contrib.celery import Celery, Task, UnsupportedError, current_app, current_task, shared_task, signals
from django_jobs.contrib.celery.exceptions import Ignore, MaxRetriesExceededError, NotRegistered, Reject, Retry
from django_jobs.contrib.celery.schedules import define_entry
from django_jobs.contrib.celery.utils.log import get_task_logger
from django_jobs.definition import find_job
from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job


@shared_task
def module_level(x: int) -> int:
    """Double."""
    return 2 * x


def test_a_task_is_a_job_under_celerys_name(app: Celery) -> None:
    @app.task(name="shop.send")
    def send(user_id: int) -> int:
        """Send."""
        return user_id

    assert find_job("shop.send") is send.job
    assert registry.as_definition(send) is send.job
    assert (send.name, send.__name__, send.__doc__, send(7)) == ("shop.send", "send", "Send.", 7)
    assert (module_level.name, module_level.__doc__) == (f"{__name__}.module_level", "Double.")
    assert app.tasks["shop.send"] is send
    with pytest.raises(NotRegistered, match=r"no task is named 'shop.sent'; known are"):
        app.tasks["shop.sent"]


def test_tasks_of_a_script_are_named_by_the_app(app: Celery) -> None:
    assert app.gen_task_name("run", "__main__") == "test.run"
    assert app.gen_task_name("run", "shop.tasks") == "shop.tasks.run"


def test_options_are_given_by_keyword_and_base_is_a_class(app: Celery) -> None:
    with pytest.raises(TypeError, match="options by keyword, got 'queue'"):
        app.task("queue")
    with pytest.raises(ConfigurationError, match=r"expected a subclass of .*Task, got <class 'object'>"):
        app.task(base=object)(lambda: None)


def test_classes_are_tasks_by_register_task(app: Celery) -> None:
    class Greet(Task):
        max_retries = 1

        def run(self, name: str) -> str:
            return f"{self.greeting} {name}"

        greeting = "hello"

    greet = app.register_task(Greet())
    assert greet.name == f"{__name__}.Greet"
    assert (greet("Ada"), greet.job.options.max_attempts) == ("hello Ada", 2)
    assert greet.apply(("Ada",)).get() == "hello Ada"


def test_the_base_of_an_app_is_that_of_its_tasks() -> None:
    class Base(Task):
        queue = "based"

    assert Celery("based", task_cls=Base).task(name="based.task")(lambda: None).job.options.queue_name == "based"


def test_a_call_of_the_class_surrounds_the_function_once(app: Celery) -> None:
    calls = []

    class Timed(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append(self.request.called_directly)
            return super().__call__(*args, **kwargs)

    @app.task(base=Timed, bind=True, name="timed")
    def timed(self: Any) -> list[Any]:
        return [self.request.id is None, self.request.called_directly]

    assert timed.apply().get() == [False, False]
    assert timed() == [True, True]
    assert calls == [False, True]


def test_a_plain_call_has_a_request_and_no_retry(app: Celery) -> None:
    @app.task(bind=True, name="direct")
    def direct(self: Any, fails: bool = False) -> Any:
        try:
            if fails:
                raise KeyError("cause")
        except KeyError as error:
            raise self.retry(exc=error)  # noqa: B904 - as tasks do
        return self.request.args, self.request.called_directly, self.request.retries, bool(current_task)

    assert direct() == ([], True, 0, True)
    assert not current_task
    with pytest.raises(KeyError):
        direct(True)
    with pytest.raises(AttributeError, match="no task runs here"):
        current_task.name  # noqa: B018 - that is the test


def test_push_request_is_for_tests_of_projects(app: Celery) -> None:
    @app.task(bind=True, name="pushed", max_retries=2)
    def pushed(self: Any) -> int:
        if self.request.retries < 9:
            self.retry(countdown=3)
        return 1

    pushed.push_request(retries=1, id="an id")
    with pytest.raises(Retry) as retry:
        pushed()
    pushed.pop_request()
    assert (retry.value.when, str(retry.value)) == (3, "Retry in 3s")
    pushed.push_request(retries=2, id="an id")
    with pytest.raises(MaxRetriesExceededError, match=r"pushed\[an id\]: no retry is left after 2"):
        pushed()
    pushed.pop_request()


def test_a_retry_waits_by_default_three_minutes_or_until_an_instant(app: Celery) -> None:
    @app.task(bind=True, name="waits")
    def waits(self: Any, **options: Any) -> None:
        self.retry(**options)

    def wait(**options: Any) -> Retry:
        waits.push_request()
        with pytest.raises(Retry) as retry:
            waits(**options)
        waits.pop_request()
        return retry.value

    assert wait().after.total_seconds() == 180
    assert wait(countdown=0).after.total_seconds() == 0
    assert wait(eta=datetime(2020, 1, 1, tzinfo=UTC)).after.total_seconds() == 0
    assert wait(eta=datetime(9020, 1, 1, tzinfo=UTC)).after.days == 3650
    assert wait(countdown=10**9).after.days == 3650
    app.conf.timezone = "Asia/Tokyo"
    assert wait(eta=datetime(2050, 1, 1, 9)).when == datetime(2050, 1, 1, tzinfo=UTC)  # noqa: DTZ001 - as projects do


@pytest.mark.parametrize("changes", [{"args": (8,)}, {"kwargs": {"b": 1}}, {"queue": "other"}])
def test_a_retry_that_changes_the_job_is_refused(app: Celery, changes: dict[str, Any]) -> None:
    @app.task(bind=True, name="changes", max_retries=1)
    def retries(self: Any, a: int) -> None:
        self.retry(args=[a], kwargs={}) if not changes else self.retry(**changes)

    (name,) = changes
    with pytest.raises(UnsupportedError, match=rf"retry\({name}=...\) is not supported"):
        retries.apply((7,), throw=True)
    changes.clear()
    with pytest.raises(MaxRetriesExceededError):
        retries.apply((7,), throw=True)


def test_a_retry_that_does_not_throw_comes_after_the_function(app: Celery) -> None:
    steps = []

    @app.task(bind=True, name="later", max_retries=1)
    def later(self: Any) -> str:
        if not self.request.retries:
            self.retry(throw=False)
        steps.append(self.request.retries)
        return "done"

    assert later.apply().get() == "done"
    assert steps == [0, 1]


@pytest.mark.django_db
def test_arguments_are_a_list_and_a_dict(app: Celery) -> None:
    @app.task(name="tasks.any")
    def take(*args: Any, **kwargs: Any) -> None: ...

    for call in (
        lambda: take.apply_async("abc"),
        lambda: take.apply("abc"),
        lambda: take.signature("abc"),
        lambda: take.s().apply_async("abc"),
        lambda: app.send_task("tasks.any", "abc"),
        lambda: app.send_task("of.another.project", "abc"),
        lambda: define_entry(app, "entry", {"task": "tasks.any", "schedule": 60, "args": ("abc")}),
    ):
        with pytest.raises(TypeError, match=r"args: expected a list or tuple, such as \(value,\), got str"):
            call()
    with pytest.raises(TypeError, match="kwargs: expected a dict, got list"):
        take.apply_async((), [1])
    assert not Job.objects.exists()


def test_ignore_and_reject(app: Celery) -> None:
    @app.task(name="ignores")
    def ignores() -> None:
        raise Ignore

    @app.task(name="rejects")
    def rejects() -> None:
        raise Reject("not this one")

    assert ignores.apply().state == "SUCCESS"
    assert rejects.apply().state == "FAILURE"
    assert str(rejects.apply().result) == "reject requeue=False: not this one"


def test_eager_tasks_propagate_if_the_settings_say_so(app: Celery) -> None:
    @app.task(name="fails")
    def fails() -> None:
        raise LookupError("here")

    app.conf.task_always_eager = True
    result = fails.delay()
    assert (result.state, result.failed(), result.ready(), repr(result.result)) == (
        "FAILURE",
        True,
        True,
        "LookupError('here')",
    )
    assert "LookupError: here" in str(result.traceback)
    with pytest.raises(LookupError):
        result.get()
    app.conf.task_eager_propagates = True
    with pytest.raises(LookupError):
        fails.delay()


def test_eager_arguments_go_through_json_and_are_checked(app: Celery) -> None:
    @app.task(name="shows")
    def shows(value: Any) -> str:
        return type(value).__name__

    app.conf.task_always_eager = True
    assert shows.delay((1, 2)).get() == "list"
    with pytest.raises(TypeError, match="missing a required argument: 'value'"):
        shows.delay()
    with pytest.raises(ValueError, match="JSON"):
        shows.delay(object())


def test_what_a_request_does_not_keep_names_the_way(app: Celery) -> None:
    @app.task(bind=True, name="asks")
    def asks(self: Any, name: str) -> Any:
        return getattr(self.request, name)

    with pytest.raises(AttributeError, match="'root_id'; the jobs of a chain or a chord are one graph in the admin"):
        asks("root_id")
    assert asks.request.get("anything", 5) == 5


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda app, task: task.chunks([], 10), "enqueue_many"),
        (lambda app, task: task.map([]), "enqueue_many"),
        (lambda app, task: task.starmap([]), "enqueue_many"),
        (lambda app, task: task.replace(task.s()), "write both as a chain"),
        (lambda app, task: task.add_to_chord(task.s()), "current_batch"),
        (lambda app, task: task.send_event("x"), "current_job"),
        (lambda app, task: task.s().link(task.s()), "link is not supported: chain"),
        (lambda app, task: task.s().on_error(task.s()), "on_failure"),
        (lambda app, task: app.control.inspect(), "the admin's pages of workers"),
        (lambda app, task: app.worker_main(), "manage.py runworker"),
        (lambda app, task: app.backend, "results are in the rows"),
        (lambda app, task: task.update_state(task_id="another", state="X"), "for the running task"),
    ],
)
def test_what_is_not_supported_names_the_way(app: Celery, call: Any, text: str) -> None:
    @app.task(name="any.task")
    def task() -> None: ...

    with pytest.raises(UnsupportedError, match=text):
        call(app, task)


def test_signals_of_celery_name_the_way_at_import() -> None:
    with pytest.raises(ImportError, match=r"task_failure is not sent here; use django_jobs.signals.job_dead"):
        from django_jobs.contrib.celery.signals import task_failure  # noqa: F401
    with pytest.raises(AttributeError):
        signals.__wrapped__  # noqa: B018 - introspection goes on


def test_loggers_and_apps() -> None:
    assert get_task_logger("shop.tasks").name == "shop.tasks"
    app = Celery("newest")
    assert repr(current_app) == "<Celery newest>"
    assert current_app.main == "newest"
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        app.nonsense  # noqa: B018 - that is the test
