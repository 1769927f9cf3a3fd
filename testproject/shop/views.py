"""What the shop answers: a request saves rows, enqueues the slow work and says 202 Accepted at once."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any
from uuid import uuid4

from django.core.cache import cache
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from django_jobs import Batch
from django_jobs.models import Batch as BatchRow
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.web import accepted, status_url

from .checkout import OutOfStock, Wanted, place_order
from .jobs import BESTSELLERS, enqueue_receipt, export_orders, resize_pictures
from .models import Customer, Order, Payment, Picture, Product, jobs_of
from .newsletter import start_newsletter

ORDERS_SHOWN = 25
BARS_SHOWN = 3
"""Each bar has an event stream of its own, and a browser opens six at most to one server."""


class BadOrder(ValueError):
    """The request's body is not an order."""


@csrf_exempt  # called by programs, without a cookie
@require_POST
def create_order(request: HttpRequest) -> JsonResponse:
    """Place an order: 202 with its jobs, 400 where the body is wrong, 409 where there is not enough in stock."""
    request_id = request.headers.get("X-Request-ID") or uuid4().hex
    try:
        customer, wanted, card = _read_order(request.body)
        order, jobs = place_order(customer, wanted, card=card, request_id=request_id)
    except BadOrder as error:
        return JsonResponse({"error": str(error)}, status=400)
    except OutOfStock as error:
        return JsonResponse({"error": str(error)}, status=409)
    url = reverse("shop:order", args=[order.pk])
    body = {"order": order.pk, "status": url, "jobs": [_job_row(job) for job in jobs]}
    return JsonResponse(body, status=202, headers={"Location": url})


@require_GET
def show_order(request: HttpRequest, order_id: int) -> HttpResponse:
    """Say how far an order's work has got; to a browser by a page whose bars move by themselves."""
    order = get_object_or_404(Order, pk=order_id)
    if _is_browser(request):
        return render(request, "shop/order.html", {"order": order})
    return JsonResponse({"order": order.pk, "jobs": [_job_row(job) for job in order.jobs]})


@csrf_exempt  # as above; it changes nothing but the load
@require_POST
def export(request: HttpRequest) -> HttpResponse:
    """Have the orders written into a file: 202 for a program, the page with the progress bar for a browser's form."""
    job = export_orders.enqueue()
    return redirect(status_url(job)) if _is_browser(request) else accepted(request, job)


@csrf_exempt  # as above
@require_POST
def ask_for_receipt(request: HttpRequest, order_id: int) -> JsonResponse:
    """Have the receipt mailed, once however often this is pressed: 202, or 409 where nothing is paid yet."""
    payment = get_object_or_404(Payment, order=order_id)
    if payment.state != Payment.State.CHARGED:
        return JsonResponse({"error": "the card has not been charged yet"}, status=409)
    receipt = enqueue_receipt(payment)
    body = {"order": order_id, "is_on_its_way": receipt.is_duplicate, "jobs": [_job_row(receipt)]}
    return JsonResponse(body, status=202)


@csrf_exempt  # as above
@require_POST
def resize_all(request: HttpRequest) -> JsonResponse:
    """Have all new pictures resized."""
    return JsonResponse({"jobs": [_job_row(resize_pictures.enqueue())]}, status=202)


@csrf_exempt  # as above
@require_POST
def create_newsletter(request: HttpRequest) -> JsonResponse:
    """Mail a newsletter to all customers: 202 with the address of its progress."""
    subject = request.POST.get("subject") or "News from the shop"
    batch = start_newsletter(subject)
    url = reverse("shop:newsletter", args=[batch.id])
    return JsonResponse({"batch": batch.id, "status": url}, status=202, headers={"Location": url})


@require_GET
def show_newsletter(request: HttpRequest, batch_id: int) -> HttpResponse:
    """Show how many mails are out."""
    batch = Batch.of(get_object_or_404(BatchRow, pk=batch_id))
    progress = batch.progress()
    context = {"batch": batch, "progress": progress, "is_over": progress.waiting == 0}
    return render(request, "shop/newsletter.html", context)


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show the newest orders with the state of their jobs."""
    orders = list(
        Order.objects.select_related("customer", "invoice", "shipment", "payment").order_by("-pk")[:ORDERS_SHOWN]
    )
    jobs_by_order: dict[int, list[tuple[str, Job]]] = defaultdict(list)
    for job in jobs_of(order.pk for order in orders):
        number = job.metadata.get("order") or job.arguments["order_id"]
        jobs_by_order[number].append((job.name.rpartition(".")[2], job))
    at_work = [job for jobs in jobs_by_order.values() for _, job in jobs if not job.is_final]
    context = {
        "at_work": sorted(at_work, key=lambda job: job.state != State.RUNNING)[:BARS_SHOWN],
        "rows": [(order, jobs_by_order[order.pk]) for order in orders],
        "pictures": Picture.objects.aggregate(all=Count("pk"), resized=Count("pk", filter=~Q(sizes={}))),
        "bestsellers": cache.get(BESTSELLERS, []),
        "customer": Customer.objects.order_by("?").first(),
        "product": Product.objects.filter(stock__gt=0).order_by("?").first(),
    }
    return render(request, "shop/home.html", context)


def _read_order(body: bytes) -> tuple[Customer, list[Wanted], str]:
    """Read ``{"customer": email, "lines": [{"sku": ..., "quantity": ...}], "card": number}``. Raises BadOrder."""
    try:
        order = json.loads(body)
        customer = Customer.objects.get(email=order["customer"])
        wanted = [
            Wanted(product=Product.objects.get(sku=line["sku"]), quantity=int(line["quantity"]))
            for line in order["lines"]
        ]
        card = str(order["card"])
    except (Customer.DoesNotExist, Product.DoesNotExist) as error:
        raise BadOrder(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadOrder(f"expected customer, lines of sku and quantity, and card as JSON; {error!r}") from error
    if not wanted or any(one.quantity < 1 for one in wanted):
        raise BadOrder("expected at least one line, each with a quantity of 1 or more")
    return customer, wanted, card


def _is_browser(request: HttpRequest) -> bool:
    return bool(request.get_preferred_type(["application/json", "text/html"]) == "text/html")


def _job_row(job: Job) -> dict[str, Any]:
    return {"id": job.pk, "name": job.name, "state": job.state}
