"""How the shop tests its background work: ``manage.py test testproject.shop``, without a worker."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from django.core import mail
from django.test import TestCase, override_settings
from PIL import Image

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from django_jobs.testing import assert_enqueued, drain, enqueued

from .contact_sheet import SHEET
from .jobs import (
    book_payment,
    book_shipment,
    clean_up,
    render_invoice,
    resize_pictures,
    send_digest,
    send_receipt,
    send_welcome,
    warm_bestsellers,
)
from .models import Account, Customer, Invoice, Order, Payment, Picture, Product
from .resizing import WIDTHS
from .tasks import write_packing_slip

NOBODY_LISTENS = "http://127.0.0.1:9"


class ShopTestCase(TestCase):
    """A shop with one customer and one product, and a folder of its own for files."""

    def setUp(self) -> None:
        self.media = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(MEDIA_ROOT=self.media, SHOP_PARTNERS_URL=NOBODY_LISTENS))
        self.customer = Customer.objects.create(name="Ada", email="ada@example.org", city="London")
        self.lamp = Product.objects.create(sku="lamp", name="Lamp", price=Decimal("49.90"), stock=3)
        Account.objects.create(name="sales")

    def orders(self, number: int) -> list[Order]:
        """Return so many orders of which nothing is enqueued."""
        return [Order.objects.create(customer=self.customer) for _ in range(number)]

    def order(self, **changes: Any) -> Any:
        """Send an order of one lamp, or what ``changes`` make of it."""
        body = {
            "customer": self.customer.email,
            "card": "4000 0000 0000 0002",
            "lines": [{"sku": "lamp", "quantity": 1}],
        }
        return self.client.post("/orders/", json.dumps(body | changes), content_type="application/json")


@contextmanager
def busy_partner(*, retry_after: int) -> Iterator[tuple[str, list[str]]]:
    """Serve a partner who answers 429 to every call; yield its address and the paths that were called."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(HTTPStatus.TOO_MANY_REQUESTS)
            self.send_header("Retry-After", str(retry_after))
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Keep silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", calls
        finally:
            server.shutdown()
            thread.join()


class CreateOrderTests(ShopTestCase):
    def test_order_is_accepted_with_its_work_enqueued(self) -> None:
        response = self.order()

        assert response.status_code == 202
        order = Order.objects.get()
        assert response["Location"] == f"/orders/{order.pk}/"
        assert len(json.loads(response.content)["jobs"]) == 5
        assert [job.state for job in order.jobs if job.name.endswith("send_invoice")] == [State.BLOCKED]
        # Blocked are those, besides, that a limit has to let in first.
        assert {job.state for job in order.jobs} == {State.READY, State.BLOCKED}
        assert Product.objects.get().stock == 2

    def test_order_is_told_by_a_message_that_becomes_the_job_that_ships_it(self) -> None:
        self.order()

        order = Order.objects.get()
        (shipping,) = Job.objects.filter(name=book_shipment.name)
        assert shipping.arguments == {"order_id": order.pk}
        assert shipping.metadata["message"] == {"broker": "events", "name": "orders.placed"}
        assert shipping in order.jobs

    def test_order_that_is_rolled_back_enqueues_nothing(self) -> None:
        response = self.order(lines=[{"sku": "lamp", "quantity": 4}])

        assert response.status_code == 409
        assert not Job.objects.exists()
        assert not Order.objects.exists()

    def test_what_is_no_order_is_refused_with_a_reason(self) -> None:
        wrong: tuple[dict[str, Any], ...] = (
            {"customer": "nobody@example.org"},
            {"lines": []},
            {"lines": [{"sku": "lamp"}]},
        )
        for changes in wrong:
            with self.subTest(changes):
                response = self.order(**changes)
                assert response.status_code == 400
                assert "error" in json.loads(response.content)
        assert not Job.objects.exists()

    def test_page_shows_the_order_with_its_jobs(self) -> None:
        self.order()

        self.assertContains(self.client.get("/"), "render_invoice")
        self.assertContains(self.client.get(f"/orders/{Order.objects.get().pk}/"), "book_shipment")


class ExportTests(ShopTestCase):
    def test_program_is_told_where_the_file_will_be(self) -> None:
        self.order()
        self.order()

        response = self.client.post("/export/")
        assert response.status_code == 202
        drain(queues=["documents"])

        status = self.client.get(response["Location"]).json()
        assert status["progress"] == {"done": 2, "total": 2, "message": ""}
        found = self.client.get(status["result"]).json()["result"]
        assert found["orders"] == 2
        file = self.media / found["url"].removeprefix("/media/")
        assert len(file.read_text().splitlines()) == 3

    def test_browser_is_sent_to_the_page_with_the_bar(self) -> None:
        response = self.client.post("/export/", headers={"accept": "text/html"}, follow=True)

        self.assertContains(response, "progressbar")

    def test_page_of_an_order_shows_a_bar_for_each_of_its_jobs(self) -> None:
        self.order()

        page = self.client.get(f"/orders/{Order.objects.get().pk}/", headers={"accept": "text/html"})
        self.assertContains(page, "progressbar", count=6)


class JobTests(ShopTestCase):
    def test_a_job_is_a_function(self) -> None:
        send_welcome(self.customer.pk)

        assert [one.subject for one in mail.outbox] == ["Welcome, Ada"]

    def test_invoice_is_rendered_and_then_mailed(self) -> None:
        self.order()

        drain(queues=["documents", "emails"])

        (sent,) = mail.outbox
        ((_, content, _),) = sent.attachments
        assert content.startswith(b"%PDF-")
        assert (self.media / str(Invoice.objects.get().pdf)).read_bytes() == content

    def test_invoices_of_a_customer_are_numbered_in_the_order_of_the_orders(self) -> None:
        for _ in range(3):
            self.order()
        other = Customer.objects.create(name="Bo", email="bo@example.org", city="Oslo")
        self.lamp.stock = 3
        self.lamp.save()
        self.order(customer=other.email)

        drain(queues=["documents"])

        invoices = Invoice.objects.order_by("order").values_list("order__customer__name", "number")
        assert list(invoices) == [("Ada", 1), ("Ada", 2), ("Ada", 3), ("Bo", 1)]

    def test_carrier_that_is_asked_too_often_is_asked_by_nobody_for_as_long_as_it_says(self) -> None:
        first, second = book_shipment.enqueue_many([(order.pk,) for order in self.orders(2)])

        with busy_partner(retry_after=30) as (url, calls), self.settings(SHOP_PARTNERS_URL=url):
            drain(queues=["partners"])

        assert calls == ["/carrier/shipments"]
        assert (first.refresh().state, first.attempt) == (State.SCHEDULED, 0)
        assert second.refresh().state == State.BLOCKED

    def test_carrier_that_is_down_is_left_alone_after_five_failures(self) -> None:
        jobs = book_shipment.enqueue_many([(order.pk,) for order in self.orders(7)])

        drain(queues=["partners"])

        failed = [job for job in jobs if job.refresh().attempts.exists()]
        assert len(failed) == 5
        assert {job.state for job in jobs if job not in failed} == {State.BLOCKED}

    def test_job_of_an_order_that_is_gone_is_dead_at_once(self) -> None:
        render_invoice.enqueue(order_id=404)

        assert drain().dead == 1
        assert DeadLetter.objects.get().reason == "discarded"

    def test_card_that_cannot_be_charged_ends_as_a_failed_payment(self) -> None:
        self.order()

        drained = drain(queues=["partners"], run_scheduled=True)

        assert Payment.objects.get().state == Payment.State.FAILED
        assert DeadLetter.objects.filter(job_name__endswith="charge_card").get().attempt == 3
        assert drained.succeeded == 0

    def test_payment_is_booked_once(self) -> None:
        self.order()
        book_payment.enqueue(Payment.objects.get().pk)

        drain(queues=["default"])

        assert Account.objects.get().balance == Decimal("49.90")

    def test_receipt_is_mailed_once_however_often_it_is_asked_for(self) -> None:
        self.order()
        payment = Payment.objects.get()
        url = f"/orders/{payment.order_id}/receipt/"
        assert self.client.post(url).status_code == 409
        Payment.objects.update(state=Payment.State.CHARGED, receipt="RECEIPT-1")

        answers = [self.client.post(url).json() for _ in range(3)]
        send_receipt.enqueue(payment.pk)
        drain(queues=["emails"])

        assert [one["is_on_its_way"] for one in answers] == [False, True, True]
        assert len({one["jobs"][0]["id"] for one in answers}) == 1
        assert [one.body for one in mail.outbox] == ["RECEIPT-1"]
        assert {job.result for job in enqueued(send_receipt)} == {"RECEIPT-1"}

    def test_pictures_are_resized_by_one_job_where_somebody_clicks_twice(self) -> None:
        for _ in range(2):
            assert self.client.post("/pictures/resize/").status_code == 202

        assert_enqueued(resize_pictures, count=1)

    def test_digest_counts_the_orders_of_a_day(self) -> None:
        self.order()
        send_digest.enqueue()

        drain(queues=["emails"])

        assert any(one.subject.endswith("Digest: 1 orders") for one in mail.outbox)

    def test_newsletter_goes_to_all_customers_and_its_end_is_reported(self) -> None:
        Customer.objects.bulk_create(
            Customer(name=f"Customer {at}", email=f"c{at}@example.org", city="Paris") for at in range(20)
        )

        response = self.client.post("/newsletters/", {"subject": "News"})

        assert response.status_code == 202
        self.assertContains(self.client.get(response["Location"]), "0 of 21 mails are sent")
        Customer.objects.filter(email="c0@example.org").delete()
        drain(queues=["newsletter"])
        page = self.client.get(response["Location"])
        self.assertContains(page, "20 of 21 mails are sent, 1 could not be; failed.")
        assert [one.subject for one in mail.outbox].count("News") == 20
        assert any("20 of 21 mails were sent" in one.body for one in mail.outbox)

    def test_packing_slip_is_written_by_a_task(self) -> None:
        self.order()
        order = Order.objects.get()

        drain(queues=["documents"])

        slip = self.media / f"packing/order-{order.pk:05}.txt"
        assert slip.read_text().splitlines() == [f"order {order.pk} for Ada, London", "1 x Lamp"]

    def test_packing_slip_of_a_task_is_found_by_its_result(self) -> None:
        (order,) = self.orders(1)
        enqueued = write_packing_slip.enqueue(order.pk)

        drain()

        result = write_packing_slip.get_result(enqueued.id)
        assert (self.media / result.return_value).exists()

    def test_bestsellers_are_cached_and_shown(self) -> None:
        self.order()
        warm_bestsellers.enqueue(3)
        clean_up.enqueue()

        drain(queues=["default"])

        self.assertContains(self.client.get("/"), "Bestsellers: Lamp.")

    def test_each_picture_is_resized_by_a_job_of_its_own(self) -> None:
        originals = self.media / "pictures"
        originals.mkdir()
        for name in ("a.jpg", "b.jpg"):
            Image.new("RGB", (2000, 1000)).save(originals / name)
            Picture.objects.create(product=self.lamp, original=f"pictures/{name}")
        resize_pictures.enqueue()

        drained = drain()

        assert drained.succeeded == 4
        with Image.open(self.media / SHEET) as sheet:
            assert sheet.size == (2000, 200)
        for picture in Picture.objects.all():
            assert set(picture.sizes) == set(map(str, WIDTHS))
            with Image.open(self.media / picture.sizes["400"]) as smaller:
                assert smaller.size == (400, 200)
