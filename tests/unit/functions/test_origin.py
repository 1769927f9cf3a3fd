"""Two functions never share a name; one that is defined again by a reload or in a notebook takes its place."""

import importlib
import sys
import threading
from functools import lru_cache, partial, wraps
from types import ModuleType

import pytest

from django_jobs import job, registry, schedules
from django_jobs.exceptions import ConfigurationError

SOURCE = "from django_jobs import job\n"


@pytest.fixture(autouse=True)
def _own_registries(monkeypatch):
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    monkeypatch.setattr(schedules, "_definitions", dict(schedules._definitions))


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write a module, import it or load it again, and return it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded = []

    def load_module(source, name="origin_jobs"):
        (tmp_path / f"{name}.py").write_text(SOURCE + source)
        importlib.invalidate_caches()
        module = importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)
        loaded.append(name)
        return module

    yield load_module
    for name in loaded:
        sys.modules.pop(name, None)


@pytest.fixture
def cell():
    """Execute the text of a cell in the namespace of one notebook."""
    namespace = ModuleType("__main__").__dict__

    def execute(source):
        exec(compile(SOURCE + source, f"<cell {hash(source)}>", "exec"), namespace)
        return namespace

    return execute


def made(action, **options):
    def run(order):
        return f"{action} {order}"

    return job(**options)(run)


class Handler:
    def __init__(self, action):
        self.action = action

    def __call__(self, order):
        return f"{self.action} {order}"

    def handle(self, order):
        return self(order)

    @classmethod
    def act(cls, order):
        return f"{cls.__name__} {order}"


class Refunder(Handler):
    pass


def traced(function):
    @wraps(function)
    def trace(*args, **kwargs):
        return function(*args, **kwargs)

    return trace


def charge(order, action="charge"):
    return f"{action} {order}"


def numbered(number):
    return lambda: job(lambda order, number=number: (order, number))


PAIRS = {
    "two closures": (lambda: made("charge"), lambda: made("refund")),
    "two closures with a name": (lambda: made("charge", name="x"), lambda: made("refund", name="x")),
    "two closures that are masked": (lambda: made("a", redact=("order",)), lambda: made("b", redact=("order",))),
    "two closures behind a decorator": (
        lambda: job(traced(made("charge", name="a").function)),
        lambda: job(traced(made("refund", name="b").function)),
    ),
    "other defaults, as in a loop": (numbered(1), numbered(2)),
    "two lambdas": (lambda: job(lambda order: order), lambda: job(lambda order: -order)),
    "two partials": (
        lambda: job(name="x")(partial(charge, action="charge")),
        lambda: job(name="x")(partial(charge, action="refund")),
    ),
    "a function and a partial": (lambda: job(name="x")(charge), lambda: job(name="x")(partial(charge, action="r"))),
    "two objects": (lambda: job(name="x")(Handler("charge")), lambda: job(name="x")(Handler("refund"))),
    "methods of two objects": (lambda: job(Handler("charge").handle), lambda: job(Handler("refund").handle)),
    "a classmethod of two classes": (lambda: job(name="x")(Handler.act), lambda: job(name="x")(Refunder.act)),
    "two callables of C code": (lambda: job(name="x")(lru_cache(charge)), lambda: job(name="x")(lru_cache(traced))),
    "a function and its wrapper": (lambda: job(charge), lambda: job(traced(charge))),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_a_second_function_under_one_name_is_refused_with_the_cure(kind):
    define_first, define_second = PAIRS[kind]
    first = define_first()

    with pytest.raises(ConfigurationError, match=r"two jobs are named .*@job\(name=\.\.\.\)"):
        define_second()

    assert registry.get(first.name) is first


@pytest.mark.parametrize(
    "source",
    [
        "charge = job(lambda order: order)\nrefund = job(lambda order: -order)\n",
        "@job\ndef charge(order): ...\n\n@job\ndef charge(order): return 1\n",
        "for action in ('charge', 'refund'):\n    @job\n    def run(order, action=action): ...\n",
        "def make(action):\n    @job\n    def run(order): return action\n\nmake('charge'), make('refund')\n",
        "for action in ('charge', 'refund'):\n    @job(queue_name=action)\n    def run(order): return action\n",
        "jobs = [job(lambda order: action) for action in ('charge', 'refund')]\n",
        "def make():\n    for action in 'ab':\n        @job\n        def run(order): return action\nmake()\n",
    ],
)
def test_a_module_that_defines_two_functions_under_one_name_cannot_be_imported(load, source):
    with pytest.raises(ConfigurationError, match=r"two jobs are named 'origin_jobs\..*origin_jobs\.py:\d"):
        load(source)


def test_one_function_of_a_module_may_be_a_job_twice(load):
    module = load("def run(order): ...\nfirst = job(run)\nlatest = job(queue_name='other')(run)\n")

    assert registry.get("origin_jobs.run") is module.latest


def test_one_name_in_two_modules_is_refused_also_after_a_reload(load):
    source = "@job(name='origin.shared')\ndef run(order): ...\n"
    load(source)

    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"origin_jobs\.run .* and origin_others\.run"):
            load(source, "origin_others")


def test_a_job_made_later_does_not_replace_one_of_its_module(load):
    module = load("run = job(lambda order: order)\ndef late():\n    return job(name=run.name)(lambda order: -order)\n")
    errors = []

    def define():
        try:
            module.late()
        except ConfigurationError as error:
            errors.append(error)

    thread = threading.Thread(target=define)
    thread.start()
    thread.join()

    assert len(errors) == 1


@pytest.mark.parametrize(
    "edited",
    [
        "@job(name='origin.run')\ndef run(order): return 2\n",
        "\n\n@job(name='origin.run', queue_name='other')\ndef renamed(order): return 2\n",
        "rate = object()\nrun = job(name='origin.run')(lambda order: 2 if rate else 0)\n",
        "def make(rate):\n    return job(name='origin.run')(lambda order: 2 if rate else 0)\nmake(object())\n",
    ],
)
def test_a_module_that_is_loaded_again_brings_its_jobs_anew(load, edited):
    load("@job(name='origin.run')\ndef run(order): return 1\n")

    for _ in range(2):
        load(edited)
        assert registry.get("origin.run")(7) == 2


def test_a_module_that_is_imported_again_from_nothing_brings_its_jobs_anew(load):
    source = "def make(rate):\n    return job(name='origin.run')(lambda order: rate)\nmake({})\n"
    load(source.format("1"))
    del sys.modules["origin_jobs"]

    load(source.format("2"))

    assert registry.get("origin.run")(7) == 2


def test_a_factory_of_another_module_is_called_anew_by_a_reload(load):
    load("def make(rate):\n    return job(lambda order: rate)\n", "origin_others")
    user = "from origin_others import make\nclass Rate: ...\nrun = make(Rate)\n"
    load(user)

    module = load(user)

    assert registry.get("origin_others.make.<locals>.<lambda>")(7) is module.Rate


def test_a_schedule_is_loaded_again_on_another_line_and_another_one_of_its_name_is_refused(load):
    load("@job(cron='@daily')\ndef run(): ...\n")
    load("\n\n@job(cron='@hourly')\ndef run(): ...\n")
    assert schedules._definitions["origin_jobs.run"].timing.cron == "@hourly"

    with pytest.raises(ConfigurationError, match="there is one of this name already, at "):
        load(
            "from django_jobs import schedule\n@job\ndef run(zone): ...\n"
            "for zone in ('UTC', 'CET'):\n    schedule('nightly', run, args={'zone': zone}, cron='@daily')\n"
        )


def test_a_cell_of_a_notebook_is_edited_and_run_again(cell):
    for value in (1, 2, 2):
        namespace = cell(f"@job\ndef run(order): return {value}\nother = job(name='origin.other')(lambda: {value})\n")

        assert registry.get("__main__.run") is namespace["run"]
        assert namespace["run"](7) == value
        assert registry.get("origin.other")() == value


def test_a_cell_that_makes_two_closures_of_another_cells_factory_is_refused(cell):
    cell("def make(action):\n    @job\n    def run(order): return action\n    return run\n")
    cell("charge = make('charge')\n")
    cell("charge = make('charge')\n")

    for again in (
        "refund = make('refund')\n",
        "for action in ('a', 'b'):\n    @job\n    def run(order): return action\n",
    ):
        with pytest.raises(ConfigurationError, match="two jobs are named"):
            cell(again)


def test_a_lambda_of_another_cell_is_another_function(cell):
    for _ in range(2):
        cell("charge = job(lambda order: order)\n")

    with pytest.raises(ConfigurationError, match="two jobs are named"):
        cell("refund = job(lambda order: -order)\n")


def test_a_factory_that_is_called_twice_with_the_same_values_makes_one_job_twice():
    def define(values):
        @job(name="origin.factory", redact=("order",))
        def run(order, values=values):
            return run, helper, values

        @job(name="origin.helper")
        def helper():
            return run

        return run

    define({"rates": [1, (2.5, None)]})
    latest = define({"rates": [1, (2.5, None)]})

    assert registry.get("origin.factory") is latest


@pytest.mark.parametrize("callable_", [partial(charge, 7), Handler("charge"), partial(Handler("charge"), 7)])
def test_a_callable_without_a_name_is_asked_for_one(callable_):
    with pytest.raises(ConfigurationError, match=r"@job: .* has no name of its own; give @job\(name=\.\.\.\)"):
        job(callable_)

    assert job(name="origin.named")(callable_).name == "origin.named"
