"""Jobs that fork, in all the ways that Python has. A copy writes its process id to ``path``.copy."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from django_jobs import current_job, job, signals
from tests.sampleapp.models import Customer


def _say(path: str, what: str) -> None:
    Path(f"{path}.{what}").write_text(str(os.getpid()))


def _wait_for(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


def _exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_as_pool(path: str) -> int:
    _say(path, "copy")
    time.sleep(3600)
    return 0


def count(name: str) -> int:
    """Use the job's context in a forked process, and the database, which SQLite forbids there."""
    current_job().log("from a pool")
    current_job().set_progress(1, 2)
    if connection.vendor == "sqlite":
        return 1
    Customer.objects.create(name=name)
    return Customer.objects.filter(name=name).count()


@job(max_attempts=1)
def pool_that_outlives(path: str) -> None:
    """Have a pool's child process live on after the worker was killed; do nothing the second time."""
    if Path(f"{path}.copy").exists():
        return
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    pool.submit(wait_as_pool, path)
    _wait_for(f"{path}.copy")
    _say(path, "started")
    time.sleep(3600)


@job(max_attempts=1)
def pool_in_transaction(path: str, customer_id: int) -> None:
    """Lock a row, and have a pool's child process live on after the worker was killed."""
    with transaction.atomic():
        Customer.objects.select_for_update().get(pk=customer_id)
        pool_that_outlives.function(path)


@job(max_attempts=1)
def program_that_outlives(path: str) -> None:
    """Leave a program that inherits whatever is inheritable; do nothing the second time."""
    if Path(f"{path}.copy").exists():
        return
    os.system(f"sleep 3600 & echo $! > {path}.copy")
    _say(path, "started")
    time.sleep(3600)


@job(max_attempts=1)
def fork_and_return(path: str) -> int:
    """Have the copy return from the job, as if it were the job."""
    pid = os.fork()
    if pid == 0:
        _say(path, "copy")
        return -1
    return _exit_code(pid)


@job(max_attempts=1)
def fork_and_raise(path: str) -> int:
    pid = os.fork()
    if pid == 0:
        _say(path, "copy")
        raise RuntimeError("in the copy")
    return _exit_code(pid)


@job(max_attempts=1)
def fork_and_exit(path: str) -> int:
    pid = os.fork()
    if pid == 0:
        _say(path, "copy")
        sys.exit(7)
    return _exit_code(pid)


@job(atomic=True, max_attempts=1)
def fork_and_return_atomic(path: str) -> int:
    """Have the copy come to the end of the transaction."""
    Customer.objects.create(name="of the job")
    with transaction.atomic():
        pid = os.fork()
        if pid == 0:
            _say(path, "copy")
            return -1
    code = _exit_code(pid)
    return code + Customer.objects.filter(name="of the job").count()


@job(max_attempts=1)
async def fork_and_return_async(path: str) -> int:
    pid = os.fork()
    if pid == 0:
        _say(path, "copy")
        return -1
    return await asyncio.to_thread(_exit_code, pid)


@job(max_attempts=1)
async def fork_and_await_async(path: str) -> int:
    """Have the copy give the loop to the tasks of other jobs."""
    pid = os.fork()
    if pid == 0:
        _say(path, "copy")
        await asyncio.sleep(0)
        _say(path, "went-on")
        return -1
    return await asyncio.to_thread(_exit_code, pid)


@job(max_attempts=1)
async def fork_in_thread_async(path: str) -> int:
    """Have the copy return into the pool whose thread made it."""
    return await asyncio.to_thread(fork_and_return.function, path)


@job(max_attempts=1)
async def fork_in_sync_async(path: str) -> int:
    return await sync_to_async(fork_and_return.function)(path)


@job(max_attempts=1)
def fork_in_pool_of_job(path: str) -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(fork_and_return.function, path).result()


@job(max_attempts=1)
def fork_in_thread_of_job(path: str) -> int:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(fork_and_return.function(path)))
    thread.start()
    thread.join()
    return codes[0]


@job(max_attempts=1)
def fork_and_exit_at_once(path: str) -> int:
    """Fork as one should."""
    pid = os.fork()
    if pid == 0:
        _say(path, "copy")
        os._exit(5)
    return _exit_code(pid)


@job(max_attempts=1)
def start_daemon(path: str) -> int:
    """Leave the worker as a daemon does, which closes all files, opens its own, and has child processes."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        stops: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stops.append(number))
        if os.fork():
            os._exit(0)
        try:
            os.closerange(3, 256)
            _serve_as_daemon(path, stops)
        finally:
            os._exit(1)
    code = _exit_code(pid)
    _wait_for(f"{path}.copy")
    return code


def _serve_as_daemon(path: str, stops: list[int]) -> None:
    files = [Path(f"{path}.file{number}").open("w") for number in range(60)]  # noqa: SIM115 - until the end
    subprocess.run(["true"], preexec_fn=os.getpid, check=True)  # such a program runs the hooks
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        for file in files:
            file.write(f"child {stops}")
            file.flush()
        os._exit(0)
    code = _exit_code(pid)
    for file in files:
        file.write(f", daemon {code}")
        file.flush()
    _say(path, "copy")
    os._exit(0)


@job(max_attempts=1)
def fork_at_next_start(path: str) -> None:
    """Have a receiver fork when the next job starts, in whose place the copy would run it."""
    Path(path).touch()

    def fork_once(**_: object) -> None:
        signals.job_started.disconnect(fork_once)
        if fork_and_return.function(path) != -1:
            _say(path, "over")

    signals.job_started.connect(fork_once, weak=False)


@job(max_attempts=1)
def leave_line(path: str) -> None:
    """Leave a line, to be counted."""
    with Path(path).open("a") as file:
        file.write("ran\n")


@job(max_attempts=1)
async def leave_line_async(path: str) -> None:
    leave_line.function(path)


@job(max_attempts=1)
def use_pools(name: str) -> list[int]:
    """Use the two pools of the standard library, with the database in them, and end a process by SIGTERM."""
    connection.ensure_connection()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        counts = list(executor.map(count, [f"{name} 1", f"{name} 2"]))
    with context.Pool(2) as pool:
        counts += pool.map(count, [f"{name} 3"])
    sleeper = context.Process(target=time.sleep, args=(3600,))
    sleeper.start()
    sleeper.terminate()
    sleeper.join()
    return [*counts, -(sleeper.exitcode or 0)]


@job(max_attempts=1)
def take_any_exit_code(path: str) -> None:
    """Wait for any child process, as a shell does, and so for those of the worker as well."""
    _say(path, "started")
    while not Path(path).exists():
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.005)


@job(max_attempts=1)
def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
