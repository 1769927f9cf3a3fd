"""Arguments that a person typed may refer to rows of expected models only, however deep, in the usual database."""

from collections.abc import Sequence
from functools import partial, wraps
from typing import Annotated, Any, NewType, Optional, TypedDict, TypeVar

import pytest
from django.contrib.auth.models import AbstractBaseUser, User
from django.db.models import Model

from django_jobs.arguments.references import check_references
from django_jobs.exceptions import SerializationError
from django_jobs.functions.callables import type_hints
from tests.sampleapp.models import Customer, Document

Buyer = NewType("Buyer", Customer)
AnyUser = TypeVar("AnyUser", bound=AbstractBaseUser)


class Order(TypedDict):
    customer: Customer


class LaterOrder(TypedDict):
    customer: "list[Customer]"


class UnknownOrder(TypedDict):
    customer: "Unknown"  # noqa: F821 - as a name for type checkers only


def ref(label="sampleapp.customer", using="default", pk=1):
    return {"$type": "model", "model": label, "pk": pk, "using": using}


CUSTOMER, USER = ref(), ref("auth.user")


@pytest.mark.parametrize(
    "annotation",
    [
        Customer,
        Customer | None,
        Optional[Customer],  # noqa: UP045 - the older spelling
        list[Customer],
        dict[str, Sequence[Document | Customer]],
        Annotated[Customer, "the buyer"],
        Buyer,
        Order,
        LaterOrder,
    ],
)
def test_a_model_in_an_annotation_may_be_referred_to_and_no_other(annotation):
    check_references({"customer": [CUSTOMER]}, annotations=[int, annotation])

    with pytest.raises(SerializationError, match=r"row of 'auth\.user' .* may not be given here: expected .*customer"):
        check_references({"customer": [CUSTOMER, USER]}, annotations=[int, annotation])


@pytest.mark.parametrize("annotation", [AbstractBaseUser, AnyUser, User])
def test_an_abstract_model_stands_for_those_made_of_it(annotation):
    check_references(USER, annotations=[annotation])


@pytest.mark.parametrize("annotation", [Any, None, Model, "Customer", UnknownOrder, int, list, type(None), object])
def test_an_annotation_without_a_model_expects_none(annotation):
    with pytest.raises(SerializationError, match="expected no model"):
        check_references(CUSTOMER, annotations=[annotation])


@pytest.mark.parametrize(
    "typed",
    [
        USER,
        ref("AUTH.User"),
        [[{"a": USER}]],
        {"$type": "dict", "value": {"$type": USER}},
        ref(pk=USER),
        {"$type": "uuid", "value": USER},
        {"$type": "dict", "value": [USER]},
        ref(using="other"),
        ref(using=None),
        ref(using=["default"]),
        ref("sampleapp.gone"),
        ref("nonsense"),
        ref(7),
        {"$type": "model"},
    ],
)
def test_a_reference_is_found_wherever_it_would_be_read(typed):
    with pytest.raises(SerializationError, match="may not be given here"):
        check_references({"value": typed}, annotations=[Customer], original={"value": CUSTOMER})


@pytest.mark.parametrize("typed", [{"$type": "dict", "value": USER}, ["$type", "model"], {"model": "auth.user"}, 7])
def test_plain_data_that_looks_like_a_reference_is_none(typed):
    check_references({"value": typed}, annotations=[])


def test_what_the_original_refers_to_may_be_referred_to_again_in_the_same_database():
    original = {"value": [{"$type": "dict", "value": {"a": ref(using="other")}}]}

    check_references([ref(using="other", pk=9)], annotations=[], original=original)
    with pytest.raises(SerializationError, match="in the database 'default' may not"):
        check_references(CUSTOMER, annotations=[], original=original)


def test_annotations_are_found_behind_decorators_partials_and_objects():
    def work(customer: "Customer", document: Document) -> User: ...

    class Worker:
        def __call__(self, customer: Customer) -> None: ...

    @wraps(work)
    def wrapper(*args: User) -> None: ...

    expected = {"customer": Customer, "document": Document}
    assert [type_hints(kind) for kind in (work, wrapper, partial(wrapper, 1))] == [expected] * 3
    assert type_hints(Worker()) == {"customer": Customer}
    assert type_hints(len) == {}
