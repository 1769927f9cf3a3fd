"""One alias of the setting TASKS: its OPTIONS, and the aliases that are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

from django.apps import apps
from django.conf import settings

from ...exceptions import ConfigurationError
from ...options import JobKeywords, ScheduleOptions, check_option_names, read_job_options
from ...policy.hints import find_near
from .roots import ROOTS, Root, root_of

MODULES, TASKS = "MODULES", "TASKS"
"""Keys of OPTIONS that are no options of jobs."""
OF_THE_TASK = ("name", "queue_name", "priority", "takes_context")
"""Options of ``@job`` that a Task says itself."""
OF_TASK_DECORATOR = {"@task": OF_THE_TASK[1:]}
"""How a hint names what ``@task`` takes by itself."""
SCHEDULE_OPTIONS = tuple(ScheduleOptions.__annotations__)
NOT_OF_ALL = (*OF_THE_TASK, *SCHEDULE_OPTIONS)
"""Options that cannot be those of all Tasks of an alias."""
KEYS = ("BACKEND", "QUEUES", "OPTIONS")
"""What Django reads of an alias."""


class JobsAlias:
    """The OPTIONS of an alias: those for all of its Tasks, for single ones, and modules to look for Tasks in.

    ``JobsBackend`` is one; what is below it knows it as this. ``root``: whose handler made it.
    """

    alias: str
    options: Mapping[str, Any]
    root: Root

    @property
    def job_options(self) -> dict[str, Any]:
        """The options for all Tasks of the alias."""
        return {name: value for name, value in self.options.items() if name not in {MODULES, TASKS}}

    def options_for(self, path: str, own: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of one Task: of the alias, its own, and those that OPTIONS["TASKS"] has for it.

        In the words of ``@job``. Raises ConfigurationError for one that it does not know.
        """
        label, of_tasks = f"TASKS[{self.alias!r}]['OPTIONS']", self.options.get(TASKS, {})
        of_this = of_tasks.get(path, {}) if isinstance(of_tasks, Mapping) else of_tasks
        if not isinstance(of_this, Mapping):
            raise ConfigurationError(f"{label}[{TASKS!r}]: expected a dict of dicts of options, got {of_tasks!r}")
        _check_names(label, self.job_options, without=NOT_OF_ALL, more=(MODULES, TASKS))
        given = {**own, **of_this}
        _check_names(f"Task {path}", given, without=OF_THE_TASK)
        return in_words_of_job({**self.job_options, **given})

    def task_paths(self) -> list[str]:
        """Return the paths of the Tasks that have options in the setting."""
        of_tasks = self.options.get(TASKS, {})
        return [path for path in of_tasks if isinstance(path, str)] if isinstance(of_tasks, Mapping) else []

    def unread_keys(self) -> list[str]:
        """Return a sentence for each key of the alias that nothing reads."""
        sentences = []
        for key in _aliases().get(self.alias, {}):
            if key not in KEYS:
                option, near = str(key).lower(), find_near(key, KEYS)
                hint = f"did you mean {near}?" if near else f"known are {', '.join(KEYS)}"
                if option in JobKeywords.__annotations__:
                    hint = f"options of jobs are in OPTIONS: {{{option!r}: ...}}"
                elif key in {MODULES, TASKS}:
                    hint = f"it is a key of OPTIONS: {{{key!r}: ...}}"
                sentences.append(f"TASKS[{self.alias!r}]: nothing reads the key {key!r}; {hint}")
        return sentences

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with OPTIONS, a sentence each."""
        label = f"TASKS[{self.alias!r}]['OPTIONS']"
        yield from _problems_of(label, self.job_options, without=NOT_OF_ALL, more=(MODULES, TASKS))
        modules, of_tasks = self.options.get(MODULES, ()), self.options.get(TASKS, {})
        if not _are_modules(modules):
            yield f"{label}[{MODULES!r}]: expected a list of dotted paths of modules, got {modules!r}"
        else:
            yield from (
                f"{label}[{MODULES!r}]: there is no module {name!r}" for name in modules if not _is_module(name)
            )
        if not isinstance(of_tasks, Mapping):
            yield f"{label}[{TASKS!r}]: expected a dict of options by the paths of Tasks, got {of_tasks!r}"
            return
        for path, given in of_tasks.items():
            yield from _problems_of(f"{label}[{TASKS!r}][{path!r}]", given, without=OF_THE_TASK)


def check_params(alias: str, params: Mapping[str, Any]) -> None:
    """Refuse OPTIONS and QUEUES of a type that makes every Task of the alias unusable. Raises ConfigurationError."""
    label, options, queues = f"TASKS[{alias!r}]", params.get("OPTIONS", {}), params.get("QUEUES", ())
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{label}['OPTIONS']: expected a dict of options, got {options!r}")
    if not isinstance(queues, (list, tuple, set, frozenset)):
        raise ConfigurationError(
            f"{label}['QUEUES']: expected a list of names of queues, or [] for any queue; got {queues!r}"
        )


def backend_of(task: Any, *, or_any: bool = False) -> JobsAlias | None:
    """Return the backend of a Task, None if it is not ours. ``or_any``: then the first of ours."""
    root = root_of(task) or ROOTS[0]
    for alias in (task.backend, *(_aliases() if or_any else ())):
        backend = root.handler[alias]
        if isinstance(backend, JobsAlias):
            return backend
    return None


def is_trusted(module: str) -> bool:
    """Tell whether a module may be imported for its Tasks: it is inside an installed app, or what MODULES names."""
    options = [params.get("OPTIONS") for params in _aliases().values()]
    named = [given.get(MODULES, ()) for given in options if isinstance(given, Mapping)]
    packages = [config.name for config in apps.get_app_configs()]
    packages += [name for names in named if _are_modules(names) for name in names]
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _is_module(name: str) -> bool:
    """Tell whether a module can be found. Its packages are imported."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # of a package that is not there, or a name that no module can have
        return False


def _are_modules(given: object) -> bool:
    return isinstance(given, (list, tuple, set)) and all(isinstance(name, str) for name in given)


def _aliases() -> Mapping[str, Any]:
    """Return the setting TASKS, which Django 5.2 does not have by itself."""
    return getattr(settings, "TASKS", {})


@dataclass(frozen=True, slots=True)
class TaskBackoff:
    """A backoff in the form proposed for Tasks: ``backoff(exception, task_result) -> seconds | None``."""

    function: Callable[..., Any]

    def __call__(self, exception: BaseException, context: Any) -> Any:
        """Call it in the form that ``@job`` takes."""
        return self.function(exception, context.task_result)


def in_words_of_job(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a Task as ``@job`` takes them."""
    options, backoff = dict(given), given.get("backoff")
    if callable(backoff) and not isinstance(backoff, type):
        options["backoff"] = TaskBackoff(backoff)
    return options


def _check_names(label: str, given: Mapping[str, Any], *, without: Sequence[str], more: Sequence[str] = ()) -> None:
    refused = [name for name in without if name in given]
    if refused:
        raise ConfigurationError(f"{label}: {refused[0]}: expected no such option here; each Task says it itself")
    check_option_names(label, given, JobKeywords, without=without, more=more, elsewhere=OF_TASK_DECORATOR)


def _problems_of(label: str, given: Any, *, without: Sequence[str], more: Sequence[str] = ()) -> Iterator[str]:
    if not isinstance(given, Mapping):
        yield f"{label}: expected a dict of options, got {given!r}"
        return
    try:
        _check_names(label, given, without=without, more=more)
        read_job_options(label, cast("JobKeywords", in_words_of_job(given)), takes_context=False)
    except ConfigurationError as error:
        yield str(error)
