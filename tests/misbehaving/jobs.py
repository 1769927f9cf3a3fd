"""Jobs that misbehave, and jobs that wait for a file, so that tests wait on events and not on time."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models import F

from django_jobs import Batch, Cancel, Retry, current_job, job
from django_jobs.backoff import Constant
from tests.misbehaving import forking, leftovers, odd  # noqa: F401 - they register their jobs
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from . import unfinished  # noqa: F401 - its jobs are found by the import of this module

NEVER_AGAIN = {"max_attempts": 1}


@job
def wait_for_file(path: str, leave: str = "") -> str:
    """Say that this runs by writing ``path``.started, then wait until ``path`` is there."""
    Path(f"{path}.started").write_text(str(os.getpid()))
    while not Path(path).exists():
        time.sleep(0.005)
    return leave


@job(atomic=True)
def count_visit_after(customer_id: int, path: str) -> None:
    """Wait for ``path`` and then add one visit, in the job's own database."""
    wait_for_file.function(path)
    customers = Customer.objects.using(current_job().database)
    customers.filter(pk=customer_id).update(visits=F("visits") + 1)


@job(max_attempts=1)
def build_and_wait(path: str) -> None:
    """Begin a batch, enqueue one job in it and wait for ``path`` before it is closed; do nothing the second time."""
    if not Path(f"{path}.started").exists():
        with Batch(on_failure=sample.named.s(1), on_success=sample.named.s(2)):
            sample.echo.enqueue()
            wait_for_file.function(path)


@job
async def wait_for_file_async(path: str) -> int:
    _say_started(path)
    while not await asyncio.to_thread(os.path.exists, path):  # noqa: ASYNC110 - the event is in another process
        await asyncio.sleep(0.02)
    return os.getpid()


@job(atomic=True)
def count_visit_before(customer_id: int, path: str) -> None:
    """Add one visit, and wait for ``path`` in the same transaction; the row stays locked."""
    Customer.objects.filter(pk=customer_id).update(visits=F("visits") + 1)
    wait_for_file.function(path)


@job
async def read_visits_after(customer_id: int, path: str) -> int:
    """Read in the job's own database, wait for ``path``, and read again on the same connection."""
    customers = Customer.objects.using(current_job().database)
    await customers.aget(pk=customer_id)
    await wait_for_file_async.function(path)
    return (await customers.aget(pk=customer_id)).visits


@job
def count_files(path: str, total: int) -> int:
    """Wait for ``path``.1, ``path``.2 and so on, and show each as progress."""
    for number in range(1, total + 1):
        while not Path(f"{path}.{number}").exists():
            time.sleep(0.005)
        current_job().set_progress(number, total, f"file {number}")
    return total


@job
def loop_for_ever(path: str) -> None:
    """Be code that never looks whether it should end."""
    _say_started(path)
    while True:
        pass


def _say_started(path: str) -> None:
    Path(f"{path}.started").write_text(str(os.getpid()))


@job
def tell_process() -> int:
    return os.getpid()


@job(max_attempts=2)
def exit_process(code: int = 9) -> None:
    os._exit(code)


@job(max_attempts=1)
def crash_in_c() -> None:
    ctypes.string_at(0)


@job(max_attempts=1)
def raise_system_exit() -> None:
    raise SystemExit(3)


@job(max_attempts=1)
def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


@job(max_attempts=1)
async def raise_system_exit_async() -> None:
    raise SystemExit(3)


class Unprintable(Exception):
    """Cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


@job(max_attempts=1)
def raise_unprintable() -> None:
    raise Unprintable


@job(max_attempts=1)
def raise_strange_text() -> None:
    raise ValueError("NUL \0, a lone surrogate \ud800, and no end " + "x" * 1_000_000)


VeryLong = type("E" * 500, (Exception,), {})


@job(max_attempts=1)
def raise_long_name() -> None:
    raise VeryLong("long")


@job(max_attempts=1)
def recurse_for_ever() -> None:
    recurse_for_ever()


@job
def return_object() -> Any:
    return object()


@job
def return_nan() -> float:
    return float("nan")


@job
def return_much(size: int) -> str:
    return "x" * size


@job
def close_connection() -> int:
    connection.close()
    return Customer.objects.count()


@job
def kill_connection() -> None:
    """Cut the driver's own connection behind Django's back."""
    connection.ensure_connection()
    connection.connection.close()


@job
def leave_transaction_open() -> None:
    """Begin what this never ends, after a write that must not stay."""
    transaction.set_autocommit(False)
    Customer.objects.create(name="must not stay")


@job(max_attempts=1)
def break_transaction() -> None:
    """Leave a connection in an atomic block whose transaction is broken."""
    transaction.atomic().__enter__()
    Customer.objects.create(name="must not stay either")
    raise RuntimeError("broken inside")


@job
def count_customers() -> int:
    return Customer.objects.count()


@job(timeout=1, max_attempts=1)
def hang() -> None:
    while True:
        time.sleep(0.005)


@job
def hold_the_gil(path: str) -> None:
    """Sit in C code that lets no other thread of the process run."""
    _say_started(path)
    ctypes.PyDLL(None).sleep(3600)


@job
def hold_the_gil_until(path: str) -> str:
    """Sit in C code that lets no other thread of the process run, until somebody writes to the FIFO at ``path``."""
    fifo = os.open(path, os.O_RDWR)
    _say_started(path)
    ctypes.PyDLL(None).read(fifo, ctypes.create_string_buffer(1), 1)
    os.close(fifo)
    return "let go"


@job(timeout=timedelta(seconds=0.2), max_attempts=2, backoff=Constant(timedelta(hours=1)))
def hold_the_gil_too_long(path: str) -> None:
    hold_the_gil.function(path)


@job(timeout=timedelta(seconds=0.2), max_attempts=2, backoff=Constant(timedelta(hours=1)))
async def hold_the_gil_too_long_async(path: str) -> None:
    hold_the_gil.function(path)


@job(timeout=timedelta(seconds=0.2), max_attempts=1)
def hang_in_c() -> None:
    """Sit where no exception of Python's reaches."""
    time.sleep(3600)


@job(timeout=timedelta(seconds=0.2), max_attempts=1, queue_name="async")
async def block_the_event_loop() -> None:
    time.sleep(3600)  # noqa: ASYNC251 - that is the misdeed


@job(timeout=timedelta(seconds=0.3), max_attempts=1)
async def hang_async() -> None:
    await asyncio.Event().wait()


@job(timeout=1)
def clean_up_after_timeout() -> str:
    from django_jobs.exceptions import JobTimeoutError

    try:
        while True:
            time.sleep(0.005)
    except JobTimeoutError:
        return "cleaned up"


@job(atomic=True, max_attempts=1)
def write_and_fail(name: str) -> None:
    Customer.objects.create(name=name)
    raise RuntimeError("after the write")


@job(atomic=True)
def write_and_lose_claim(name: str, path: str) -> None:
    """Write, then wait until the test has taken the claim away."""
    Customer.objects.create(name=name)
    Path(f"{path}.started").write_text("")
    while not Path(path).exists():
        time.sleep(0.005)


@job(atomic=True)
def visit_late(customer_id: int, path: str) -> None:
    """Read, wait for the file, then write what was read plus one."""
    customer = Customer.objects.get(pk=customer_id)
    wait_for_file.function(path)
    Customer.objects.filter(pk=customer_id).update(visits=customer.visits + 1)


@job(backoff=Constant(timedelta(hours=1)))
def retry_soon() -> int:
    if current_job().attempt == 1:
        raise Retry(after=timedelta(seconds=0.2), reason="not yet")
    return current_job().attempt


@job(backoff=lambda exception, context: None)
def no_more_tries() -> None:
    raise RuntimeError("once is enough")


@job(backoff=lambda exception, context: "soon")
def bad_backoff() -> None:
    raise RuntimeError("with a backoff that returns nonsense")


@job
def note_metadata() -> str:
    context = current_job()
    context.metadata["seen_by"] = context.queue_name
    context.save_metadata()
    context.set_progress(3, 7, "three of seven")
    return str(context.metadata["tenant"])


@job
def eat_memory(megabytes: int) -> int:
    """Keep so much memory for as long as the process lives."""
    _kept.append(b"x" * (megabytes << 20))
    return os.getpid()


_kept: list[bytes] = []


@job(redact=("card",), max_attempts=1)
def charge_card(order_id: int, *, card: str, headers: dict[str, str]) -> None:
    """Fail with secrets among the arguments."""
    raise ValueError("the card was refused")


@job
def tell_time() -> float:
    """Return what the worker's host holds for the time, in seconds since the epoch."""
    return time.time()


def _say_heard(path: str) -> None:
    Path(f"{path}.heard").touch()


@job
def sleep_for_ever(path: str) -> None:
    _say_started(path)
    time.sleep(3600)


@job
async def sleep_for_ever_async(path: str) -> None:
    _say_started(path)
    await asyncio.sleep(3600)


@job(atomic=True)
def write_and_sleep(path: str) -> None:
    Customer.objects.create(name="never kept")
    _say_started(path)
    time.sleep(3600)


@job
def report_for_ever(path: str) -> None:
    """Say something all the time, and each time what has to be passed on at once."""
    _say_started(path)
    number = 0
    while True:
        number += 1
        current_job().set_progress(number, number + 1, "x" * 150)


@job
def hear_and_go_on(path: str) -> str:
    """Ignore that it is to end: wait until ``path`` is there all the same."""
    _say_started(path)
    try:
        time.sleep(3600)
    except Cancel:
        _say_heard(path)
    while not Path(path).exists():
        time.sleep(0.005)
    return "went on"


@job
async def hear_and_go_on_async(path: str) -> str:
    """Do the same on the event loop."""
    _say_started(path)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        _say_heard(path)
    while not await asyncio.to_thread(os.path.exists, path):  # noqa: ASYNC110 - the event is in another process
        await asyncio.sleep(0.02)
    return "went on"


@job(timeout=2)
async def hear_and_hang_async(path: str) -> None:
    """Ignore that it is to end until its time is up."""
    _say_started(path)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        _say_heard(path)
    await asyncio.sleep(3600)


@job
def sleep_in_database(path: str) -> None:
    """Be in the middle of a statement for an hour."""
    connection.ensure_connection()
    _say_started(path)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(3600)")


@job(max_attempts=2, backoff=Constant(timedelta(seconds=0.01)))
def talk(number: int = 3) -> None:
    """Log by a logger, by the context, and what cannot be written out; the first try fails behind that."""
    logger = logging.getLogger("shop.talk")
    for at in range(number):
        logger.warning("line %s", at)
    logger.warning("%d of them", "x")
    current_job().log("said NUL \0 and \ud800", level="debug")
    if current_job().attempt == 1:
        raise RuntimeError("once")


@job
async def talk_async() -> None:
    logging.getLogger("shop.talk").warning("from the loop")
    await sync_to_async(logging.getLogger("shop.talk").warning)("from a thread")


@job
def talk_and_wait(path: str) -> None:
    """Say two lines, the second too early to be saved with the first, and wait for a file."""
    current_job().log("first")
    current_job().log("second")
    wait_for_file.function(path)


@job(atomic=True)
def talk_atomic() -> None:
    current_job().log("inside")


@job(atomic=True, max_attempts=1)
def fail_atomic_with_a_log() -> None:
    """Log an error with its traceback, and fail, so that what the job wrote is rolled back."""
    try:
        raise ZeroDivisionError("by nobody")
    except ZeroDivisionError:
        logging.getLogger("shop.talk").exception("before the end")
    raise ValueError("the end")


@job
def say_nothing() -> None:
    logging.getLogger("django_jobs.worker").warning("not a job's")


@job
def say_when_told(folder: str) -> None:
    """Say a line for each of two files once it is there."""
    for name in ("first", "second"):
        wait_for_file.function(f"{folder}/{name}")
        current_job().log(f"<b>the {name} line</b>")
        current_job().set_progress(1, 2, f"said {name}")


from . import interrupted  # noqa: E402, F401 - registers its jobs, which use those above
