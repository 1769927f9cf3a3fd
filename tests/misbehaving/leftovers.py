"""Jobs that leave something behind: in the database session, in the thread's context, in the process."""

from __future__ import annotations

import asyncio
import decimal
import signal
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone, translation

from django_jobs import job
from tests.sampleapp.models import Customer

MARK: ContextVar[str] = ContextVar("left_by_a_job", default="nothing")
SHARED: ContextVar[list[str]] = ContextVar("shared_by_jobs")

decimal.getcontext()
"""Gives the importing thread a context of decimal's, as many projects do: a copy of the thread's context shares it."""


class LeftError(Exception):
    """Raised by a job on purpose."""


def send(statements: Sequence[str], *, by: str = "django") -> Any:
    """Send statements and return the last one's first value, by Django's cursor or by the driver's own.

    ``inner``: the driver's inside Django's; ``stream``, ``copy`` and ``callproc``: methods of it beside ``execute``.
    """
    connection.ensure_connection()
    value = None
    with connection.connection.cursor() if by == "driver" else connection.cursor() as cursor:
        for statement in statements:
            if by == "stream":
                value = next(iter(cursor.stream(statement)))[0]
                continue
            if by == "copy":
                with cursor.copy(f"COPY ({statement}) TO STDOUT") as rows:
                    value = b"".join(rows).decode()
                continue
            if by == "callproc":
                name, *arguments = statement.split()
                cursor.callproc(name, arguments)
                continue
            (cursor.cursor if by == "inner" else cursor).execute(statement)
            value = cursor.fetchone()[0] if cursor.description else None
    return value


@job(max_attempts=1)
def send_sql(*statements: str, by: str = "django", fail: bool = False) -> Any:
    value = send(statements, by=by)
    if fail:
        raise LeftError
    return value


@job(max_attempts=1)
async def send_sql_async(*statements: str, by: str = "django", fail: bool = False) -> Any:
    return await sync_to_async(send_sql.function)(*statements, by=by, fail=fail)


@job(max_attempts=1)
async def send_sql_in_a_thread_async(*statements: str, by: str = "django", fail: bool = False) -> Any:
    """Do so in a thread of the event loop's pool, where nobody closes connections."""
    return await asyncio.to_thread(send_sql.function, *statements, by=by, fail=fail)


GATES: dict[str, asyncio.Event] = {}
"""Where a job of this process waits until the test opens the gate."""


@job(max_attempts=1)
async def send_sql_in_a_thread_and_wait_async(gate: str) -> None:
    """Use the session of a thread of the pool, and go on without it."""
    await asyncio.to_thread(send, ["SELECT 1"])
    GATES[gate] = asyncio.Event()
    await GATES[gate].wait()


@job(max_attempts=1)
def write_customer(name: str) -> None:
    Customer.objects.create(name=name)


@job(max_attempts=1)
async def write_customer_async(name: str) -> None:
    await Customer.objects.acreate(name=name)


@job(max_attempts=1)
async def write_customer_in_a_thread_async(name: str) -> None:
    await asyncio.to_thread(write_customer.function, name)


@job(max_attempts=1, atomic=True)
def write_atomic(name: str, *statements: str, by: str = "django") -> None:
    Customer.objects.create(name=name)
    send(statements, by=by)


def read_context() -> list[Any]:
    """Return what a job finds in its context."""
    number = decimal.getcontext().prec
    return [translation.get_language(), timezone.get_current_timezone_name(), number, MARK.get(), SHARED.get(["empty"])]


def leave_context() -> None:
    """Change all of it, and change values in place."""
    translation.activate("de")
    timezone.activate("Asia/Tokyo")
    decimal.getcontext().prec = 3
    MARK.set("left behind")
    SHARED.set([*SHARED.get([]), "left behind"])


@job(max_attempts=1)
def swap_context(fail: bool = False) -> list[Any]:
    """Return what is there, and leave something else."""
    found = read_context()
    leave_context()
    if fail:
        raise LeftError
    return found


@job(max_attempts=1, atomic=True)
def swap_context_atomic() -> list[Any]:
    return swap_context.function()


@job(max_attempts=1)
async def swap_context_async(fail: bool = False) -> list[Any]:
    """Do the same in the loop and in the thread for synchronous code, which must agree."""
    found = await sync_to_async(read_context)()
    assert found == read_context()
    await sync_to_async(leave_context)()
    assert read_context() == ["de", "Asia/Tokyo", 3, "left behind", ["left behind"]]
    if fail:
        raise LeftError
    return found


@job
def log_queries(number: int) -> int:
    """Send statements, and return how many of their kind are logged; a new connection sends others before."""
    for _ in range(number):
        Customer.objects.count()
    return sum("customer" in query["sql"] for query in connection.queries_log)


@job
async def log_queries_async(number: int) -> int:
    return await sync_to_async(log_queries.function)(number)


@job
async def log_queries_in_a_thread_async(number: int) -> int:
    return await asyncio.to_thread(log_queries.function, number)


@job(max_attempts=1)
def swap_signals() -> list[str]:
    """Return what handles signals here, replace it, and leave a timer."""
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)
    found = [str(signal.getsignal(number)) for number in numbers]
    found += [str(signal.getitimer(signal.ITIMER_REAL))]
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 3600)
    return found
