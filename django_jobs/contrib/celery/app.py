"""``Celery``: the app of a project, its settings and its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, NoReturn, cast

from django.apps import apps
from django.dispatch import Signal

from ...definition import find_job
from ...functions.startup import is_ready, when_ready
from . import catalog
from .arguments import as_arguments
from .canvas import Signature
from .conf import Conf
from .control import Control
from .exceptions import UnsupportedError
from .job import define_job
from .making import decorate, register
from .options import using_options
from .request import current
from .result import AsyncResult, GroupResult
from .schedules import define_entry
from .task import Task

_UNSUPPORTED: Mapping[str, str] = {
    "start": "manage.py runworker",
    "worker_main": "manage.py runworker",
    "Worker": "manage.py runworker",
    "Beat": "manage.py runworker fires schedules, too",
    "connection": "the jobs are in the database DJANGO_JOBS['DATABASE']",
    "connection_for_write": "the jobs are in the database DJANGO_JOBS['DATABASE']",
    "backend": "results are in the rows of the jobs: AsyncResult(id)",
    "amqp": "queues are names: manage.py runworker --queues",
    "events": "django_jobs.signals",
    "steps": "django_jobs.signals.worker_started and worker_stopping",
    "user_options": "options of manage.py runworker",
}
"""What an app of Celery has, with the way here."""


class AppSignal(Signal):
    """A signal of an app, whose ``connect`` is a decorator."""

    def connect(self, receiver: Any = None, **options: Any) -> Any:  # type: ignore[override]  # as Celery's
        """Connect a receiver and return it."""
        if receiver is None:
            return partial(self.connect, **options)
        super().connect(receiver, weak=False)
        return receiver


class Celery:
    """The app: ``main`` is a name; ``broker``, ``backend`` and other options for connections have no effect."""

    def __init__(
        self,
        main: str | None = None,
        *,
        include: Iterable[str] | None = None,
        task_cls: type[Task] | None = None,
        config_source: Any = None,
        namespace: str | None = None,
        set_as_current: bool = True,
        **without_effect: Any,
    ) -> None:
        self.main = main or "__main__"
        self.conf = Conf()
        self.conf.update({name: value for name, value in without_effect.items() if value is not None})
        self.include = list(include or ())
        self.control = Control()
        self.Task = task_cls or Task
        self.on_configure, self.on_after_configure, self.on_after_finalize = AppSignal(), AppSignal(), AppSignal()
        self.is_ready = self._is_finalizing = False
        self._imports: list[Callable[[], object]] = []
        if config_source is not None:
            self.config_from_object(config_source, namespace=namespace)
        if set_as_current:
            self.set_current()
        if not is_ready():
            when_ready(self.finalize)

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take settings from an object, a module's path or ``"django.conf:settings"``; read when they are needed."""
        self.conf.read_from(obj, namespace)

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]] | None = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Have ``tasks.py`` of each package imported once all apps are loaded; ``packages`` None: of installed apps."""

        def discover() -> None:
            found = packages() if callable(packages) else packages
            for package in found or [config.name for config in apps.get_app_configs()]:
                _import_related(package, related_name)

        if force or self.is_ready:
            discover()
        else:
            self._imports.append(discover)

    def finalize(self, *ignored: Any) -> None:
        """Import the modules of tasks, read the settings, and define the schedules; once all apps are loaded.

        An app that is made later does so when one of its tasks is first used.
        """
        if self._is_finalizing:
            return
        self._is_finalizing = True
        for discover in self._imports:
            discover()
        self._imports.clear()
        for module in (*self.include, *_as_list(self.conf.include), *_as_list(self.conf.imports)):
            import_module(module)
        self.conf.check()
        self.is_ready = True
        for task in catalog.all_tasks():
            if task.app is self or task.app is current_app:
                task.job = define_job(task, self.conf)
        for signal in (self.on_configure, self.on_after_configure, self.on_after_finalize):
            signal.send(sender=self)
        for name, entry in self.conf.beat_schedule.items():
            define_entry(self, name, entry)

    @property
    def conf_when_ready(self) -> Conf:
        """The settings, once the app is finalized."""
        if is_ready() and not self.is_ready:
            self.finalize()
        return self.conf

    @property
    def tasks(self) -> catalog.Tasks:
        """The tasks by name."""
        if is_ready() and not self.is_ready:
            self.finalize()
        return catalog.Tasks()

    def task(self, *given: Any, **options: Any) -> Any:
        """Make a function a task: ``@app.task`` or ``@app.task(bind=True, ...)``."""
        return decorate(self, given, options)

    def register_task(self, task: Any, **options: Any) -> Task:
        """Make an object of a class with ``run`` a task, and return it."""
        made: Task = task() if isinstance(task, type) else task
        vars(made).update(options)
        if not made.name:
            made.name = self.gen_task_name(type(made).__name__, type(made).__module__)
        return register(self, made)

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the name of a task without one: ``module.function``."""
        return f"{self.main if module == '__main__' else module}.{name}"

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Enqueue a job by its name, which this process need not know; arguments of one that it knows are checked."""
        task = self.tasks.get(name)
        if task is not None:
            return task.apply_async(args, kwargs, **options)
        using = using_options(f"send_task({name!r})", options, self.conf)
        given, keywords = as_arguments(f"send_task({name!r})", args, kwargs)
        return AsyncResult.of(find_job(name, unknown="allow").using(**using).enqueue(*given, **keywords))

    def add_periodic_task(
        self, schedule: Any, sig: Any, args: Any = (), kwargs: Any = None, name: str | None = None, **options: Any
    ) -> str:
        """Enqueue a signature again and again; to be called by a receiver of ``on_after_configure``."""
        task = sig if isinstance(sig, Task) else sig.found()
        call = task.s() if isinstance(sig, Task) else sig
        key = name or f"{task.name} {schedule!r}"
        given, keywords = as_arguments(f"add_periodic_task({key!r})", args, kwargs)
        entry = {
            "task": task.name,
            "schedule": schedule,
            "args": (*given, *call.args),
            "kwargs": {**call.kwargs, **keywords},
            "options": {**call.options, **options},
        }
        self.conf.beat_schedule = {**self.conf.beat_schedule, key: entry}
        return key

    def signature(self, name: Any, *args: Any, **options: Any) -> Signature:
        """Return a call by the name of a task."""
        return Signature(name, *args, **options)

    def AsyncResult(self, id: str, **_: Any) -> AsyncResult:  # noqa: A002, N802 - Celery's names
        """Return the result of a job by its id."""
        return AsyncResult(id)

    def GroupResult(self, id: str | None, results: Any, **_: Any) -> GroupResult:  # noqa: A002, N802 - Celery's names
        """Return the results of a group."""
        return GroupResult(id, results)

    @property
    def current_task(self) -> Any:
        """The task that runs here, or None."""
        found = current()
        return None if found is None else found[0]

    def set_current(self) -> None:
        """Make this the app of ``shared_task``."""
        current_app.point_to(self)

    set_default = set_current

    def __getattr__(self, name: str) -> NoReturn:
        way = f": {_UNSUPPORTED[name]}" if name in _UNSUPPORTED else ""
        if way:
            raise UnsupportedError(f"app.{name} is not supported{way}")
        raise AttributeError(f"<Celery {self.__dict__.get('main')!r}> has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<Celery {self.main}>"


class _CurrentApp:
    """The newest app, to which the tasks of ``shared_task`` belong; one without settings if there is none."""

    _app: Celery | None = None

    def point_to(self, app: Celery) -> None:
        """Make ``app`` the current one."""
        vars(self)["_app"] = app

    def found(self) -> Celery:
        """Return the app."""
        if self._app is None:
            Celery("default")
        return cast("Celery", self._app)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.found(), name)

    def __repr__(self) -> str:
        return repr(self.found())


current_app = _CurrentApp()


class _CurrentTask:
    """The task that runs here; false outside of one."""

    def __getattr__(self, name: str) -> Any:
        found = current()
        if found is None:
            raise AttributeError(f"current_task.{name}: no task runs here")
        return getattr(found[0], name)

    def __bool__(self) -> bool:
        return current() is not None


current_task = _CurrentTask()


def shared_task(*given: Any, **options: Any) -> Any:
    """Make a function a task of the current app: ``@shared_task`` or ``@shared_task(bind=True, ...)``."""
    return decorate(current_app, given, options)


def _import_related(package: str, related_name: str | None) -> None:
    """Import the module ``related_name`` of a package; the package itself if there is no such name."""
    try:
        import_module(package)
    except ModuleNotFoundError:
        package = package.rpartition(".")[0]  # the class of an app's configuration
        if not package:
            raise
    if related_name:
        name = f"{package}.{related_name}"
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise


def _as_list(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


__all__ = ["Celery", "current_app", "current_task", "shared_task"]
