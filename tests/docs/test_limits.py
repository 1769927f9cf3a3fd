"""The examples of the how-to on limits do what it says of them."""

from __future__ import annotations

import re
import sys
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from django_jobs import registry
from django_jobs.models import Job, Limit
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.run_now import run_now
from django_jobs.testing import drain
from tests import factories, sampleapp
from tests.admission import admit_all
from tests.databases import ROOT
from tests.sampleapp.models import Customer

NOBODY_LISTENS = "127.0.0.1:9"

pytestmark = pytest.mark.django_db

SECTIONS = dict(
    re.findall(
        r"^## (.+?)\n(.*?)(?=^## |\Z)",
        (ROOT / "docs" / "how-to" / "limits.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


def jobs_of(section: str) -> list[types.ModuleType]:
    """Return a module for each example of a section."""
    modules = []
    for at, block in enumerate(re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL)):
        module = types.ModuleType(f"example_{at}")
        exec(compile(block, section, "exec"), module.__dict__)
        modules.append(module)
    return modules


def let_in(*jobs: Job) -> list[str]:
    admit_all()
    return [job.refresh().state for job in jobs]


def test_ten_calls_are_let_in_and_jobs_of_one_name_share_them() -> None:
    plain, shared, keyed = jobs_of("Rate limits")
    states = let_in(*plain.send_order.enqueue_many([(at,) for at in range(12)]))
    assert states.count(State.READY) == 10

    orders = shared.send_order.enqueue_many([(at,) for at in range(6)])
    customers = shared.send_customer.enqueue_many([(at,) for at in range(6)])
    assert let_in(*orders, *customers).count(State.READY) == 10

    stock = keyed.send_stock.enqueue_many([(at % 2, "lamp") for at in range(24)])
    assert let_in(*stock).count(State.READY) == 20


@pytest.fixture
def busy_partner() -> Iterator[str]:
    """The address of a server that answers 429 and wants a minute's pause."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(429)
            self.send_header("Retry-After", "60")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Keep silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_429_holds_all_calls_back_and_uses_up_no_try(busy_partner: str) -> None:
    (module,) = jobs_of("Pauses after 429")
    first, second = module.fetch.enqueue_many([(busy_partner,)] * 2)
    drain()
    assert (first.refresh().state, first.attempt) == (State.SCHEDULED, 0)
    assert second.refresh().state == State.BLOCKED
    closed_until = Limit.objects.get().closed_until
    assert closed_until is not None
    assert factories.ago(seconds=-30) < closed_until < factories.ago(seconds=-61)


def test_three_pdfs_are_drawn_at_a_time_and_one_export_for_each_customer() -> None:
    (module,) = jobs_of("Concurrency limits")
    assert let_in(*module.render_pdf.enqueue_many([(at,) for at in range(5)])).count(State.READY) == 3
    exports = module.export.enqueue_many([(at % 2, 2026) for at in range(4)])
    assert let_in(*exports) == [State.READY, State.READY, State.BLOCKED, State.BLOCKED]


def test_runs_of_one_customer_come_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shop", types.ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.models", sampleapp.models)
    plain, keyed = jobs_of("Order by key")
    runs = plain.run_invoices.enqueue_many([(7, "2026-02"), (7, "2026-03"), (8, "2026-02")])
    assert let_in(*runs) == [State.READY, State.BLOCKED, State.READY]
    assert plain.recount.options.limits[0].release_on_retry

    Customer.objects.create(name="Ada")
    statements = keyed.send_statement.enqueue_many([("Ada",), ("Ada",), ("nobody",)])
    assert let_in(*statements) == [State.READY, State.BLOCKED, State.READY]


def test_a_partner_that_is_down_is_not_asked_after_five_failures() -> None:
    (module,) = jobs_of("Circuit breakers")
    jobs = module.ask.enqueue_many([(NOBODY_LISTENS, at) for at in range(8)])
    drain()
    assert [job.refresh().attempts.count() for job in jobs] == [1] * 5 + [0] * 3
    run_now(Job.objects.all())
    assert set(let_in(*jobs)) == {State.BLOCKED}
