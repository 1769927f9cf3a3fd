from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from tests.private.rabbitmq import PrivateRabbitMQ

from .running import environment, run, start

ORDERS, PICTURES = 4, 2
SMALL = ("-m", "testproject.demo", "--orders", str(ORDERS), "--pictures", str(PICTURES), "--output")


def test_demo_ends_well_and_leaves_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "output"

    code, output = run(*SMALL, str(folder))

    assert code == 0, output
    assert "All is as it should be" in output
    assert "The first job has finished: " in output
    invoices = list((folder / "media" / "invoices").glob("*.pdf"))
    assert len(invoices) == ORDERS
    assert all(path.read_bytes().startswith(b"%PDF-") for path in invoices)
    assert len(list((folder / "media" / "pictures" / "200").glob("*.jpg"))) == PICTURES
    mails = [path.read_text() for path in (folder / "mails").glob("*.eml")]
    assert sum("Subject: Invoice" in mail for mail in mails) == ORDERS
    with sqlite3.connect(folder / "shop.sqlite3") as database:
        # A schedule may have fired while the worker stopped.
        states = dict(
            database.execute(
                "SELECT state, count(*) FROM django_jobs_job"
                " WHERE id NOT IN (SELECT job_id FROM django_jobs_tick WHERE job_id IS NOT NULL) GROUP BY state"
            )
        )
    database.close()
    assert states.pop("dead") == 1
    assert list(states) == ["succeeded"]


def test_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")

    code, output = run(*SMALL, str(tmp_path))

    assert code == 1
    assert "choose another --output" in output
    assert (tmp_path / "thesis.txt").read_text() == "the only copy"


def test_served_shop_answers_until_it_is_stopped(tmp_path: Path) -> None:
    process = start(*SMALL, str(tmp_path / "output"), "--serve", "--port", "0")
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("To stop"):
            break
    output = "".join(said)
    found = re.search(r"The shop +(http://127\.0\.0\.1:(\d+)/)", output)
    assert found, output
    with urllib.request.urlopen(found[1], timeout=60) as page:
        assert page.status == 200
        text = page.read().decode()
    assert "render_invoice" in text
    assert "http-equiv" not in text  # it is kept up to date by event streams
    with urllib.request.urlopen(f"{found[1]}static/django_jobs/progress.js", timeout=60) as script:
        assert "EventSource" in script.read().decode()
    asked = urllib.request.Request(f"{found[1]}export/", b"", method="POST")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        events = json.load(answer)["links"]["events"]
    with urllib.request.urlopen(found[1] + events.lstrip("/"), timeout=60) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.readline() != b""
    with urllib.request.urlopen(f"{found[1]}admin/login/", timeout=60) as page:
        assert page.status == 200

    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)

    assert process.returncode == 0, output + rest
    assert rest.endswith("Stopped.\n")
    with socket.socket() as port:
        assert port.connect_ex(("127.0.0.1", int(found[2]))) != 0


@pytest.mark.release
def test_demo_ends_as_well_with_rabbitmq_between_order_and_shipment(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    server = PrivateRabbitMQ()
    try:
        server.start()
        where = f"amqp://guest:guest@127.0.0.1:{server.port}"
        code, output = run(*SMALL, str(folder), env=environment(SHOP_BROKER=where))
    finally:
        server.remove()

    assert code == 0, output
    assert f"{ORDERS} orders were told by a message" in output
    with sqlite3.connect(folder / "shop.sqlite3") as database:
        (sent,) = database.execute("SELECT count(*) FROM django_jobs_job WHERE name = 'django_jobs.send_messages'")
    database.close()
    assert sent == (ORDERS,)
