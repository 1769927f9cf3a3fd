import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from django_jobs.arguments.serialization import MAX_DEPTH, dumps, loads
from django_jobs.exceptions import SerializationError
from django_jobs.policy.outcomes import Succeeded
from django_jobs.store.lifecycle.finish import finish
from tests.factories import ended, make_worker, take
from tests.sampleapp.jobs import echo, greet
from tests.sampleapp.models import Customer, Document

pytestmark = pytest.mark.django_db


def nested(depth, leaf=0):
    return [nested(depth - 1, leaf)] if depth else leaf


VALUES = [
    None,
    True,
    0,
    -0.0,
    0.1,
    1.0,
    1e16,
    123456789.123456789,
    5e-324,
    1.7976931348623157e308,
    2**53 + 1,
    2**63 - 1,
    2**70,
    "",
    "a\0b",
    "\ud800",
    "😀 é \u2028 \x7f \x01 \\ \" ' % %s {} \r\n\t",
    {"$type": "uuid", "value": "no"},
    {"": {"key with . and $ and 'quotes'": 1}},
    {"b": 1, "a": 2},
    [],
    Decimal("1.10"),
    datetime(2026, 10, 25, 1, 30, 0, 123456, tzinfo=UTC),
    timedelta(days=-1, microseconds=1),
    uuid.UUID(int=2**127),
    b"\0\xff",
    nested(30),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_an_argument_comes_to_the_worker_as_it_was_given(value):
    echo.enqueue(value)

    [claim] = take(make_worker())
    back = loads(claim.arguments)["value"]

    assert back == value
    assert repr(back) == repr(value) or isinstance(value, dict)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_a_result_comes_back_as_it_was_returned(value):
    job = echo.enqueue()
    worker = make_worker()
    [claim] = take(worker)
    finish([ended(claim, Succeeded(result=dumps(value, what="result")))], worker_id=worker.pk)

    back = job.refresh().result

    assert back == value
    assert repr(back) == repr(value) or isinstance(value, dict)


def test_the_deepest_nesting_that_is_carried_is_carried_on_every_database():
    value = nested(MAX_DEPTH - 1)

    job = echo.enqueue(value)

    assert loads(json.dumps(job.refresh().arguments)) == {"value": value}


def test_the_deepest_nesting_that_is_carried_is_a_result_on_every_database():
    value = nested(MAX_DEPTH - 1)
    job = echo.enqueue()
    worker = make_worker()
    [claim] = take(worker)

    finish([ended(claim, Succeeded(result=dumps(value, what="result")))], worker_id=worker.pk)

    assert job.refresh().result == value


def test_a_model_instance_comes_as_it_is_when_the_job_runs():
    customer = Customer.objects.create(name="Anna")
    greet.enqueue(customer)
    Customer.objects.filter(pk=customer.pk).update(name="Anne")

    [claim] = take(make_worker())

    assert loads(claim.arguments)["customer"].name == "Anne"


def test_a_model_instance_that_its_default_manager_hides_is_found():
    customer = Customer(name="hidden")
    customer.save()
    greet.enqueue(customer)

    [claim] = take(make_worker())

    assert loads(claim.arguments)["customer"] == customer


def test_a_model_instance_with_a_uuid_key_is_found():
    document = Document.objects.create(title="x")
    echo.enqueue([document])

    [claim] = take(make_worker())

    assert loads(claim.arguments)["value"] == [document]


def test_a_model_instance_that_is_gone_raises_its_models_own_error():
    customer = Customer.objects.create(name="Anna")
    greet.enqueue(customer)
    customer.delete()

    [claim] = take(make_worker())

    with pytest.raises(Customer.DoesNotExist):
        loads(claim.arguments)


def test_an_instance_that_was_deleted_before_the_enqueue_is_refused():
    customer = Customer.objects.create(name="Anna")
    customer.delete()

    with pytest.raises(SerializationError, match=r"argument 'customer': sampleapp\.Customer instance is not saved"):
        greet.enqueue(customer)
