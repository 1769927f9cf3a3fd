"""What ``@job`` is told of limits is judged at decoration, keys at the enqueue, naming job, option and what came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from django.utils.functional import SimpleLazyObject

from django_jobs import JobDefinition, job, registry
from django_jobs.exceptions import ConfigurationError, LimitKeyError
from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.policy.limits import MAX_KEY_LENGTH, LimitKind, RequiredPermit
from tests.sampleapp.models import Customer

LONGEST = "366 days"
AS_RATE = 'expected a RateLimit or text such as "10/s", got'
AS_TEXT = 'expected a rate such as "10/s", "100/m", "1000/h" or "5/10s", got'
AS_ORDER = "expected the name of an argument, a function of the arguments or an Ordering, got"
SPAN = "expected a timedelta or seconds, above zero, at most 366 days; got"
COUNT = "expected a whole number from 1 to 100000, got"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


def work(api: Any, path: str = "/", *surplus: Any, **more: Any) -> None:
    """Do nothing."""


def define(**limits: Any) -> JobDefinition[..., None]:
    return job(name="sample.limited", **limits)(work)


def keys(definition: JobDefinition[..., None], *args: Any, **kwargs: Any) -> list[str]:
    return [one.key for one in needs(definition, *args, **kwargs)]


def needs(definition: JobDefinition[..., None], *args: Any, **kwargs: Any) -> tuple[RequiredPermit, ...]:
    return definition.needs(definition.signature.bind(args, kwargs))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("rate_limit", 5, f"{AS_RATE} 5"),
        ("rate_limit", b"10/s", f"{AS_RATE} b'10/s'"),
        ("rate_limit", ["10/s"], f"{AS_RATE} ['10/s']"),
        ("rate_limit", Concurrency(3), f"{AS_RATE} Concurrency(limit=3"),
        ("rate_limit", RateLimit, f"{AS_RATE} <class"),
        ("rate_limit", "", f"{AS_TEXT} ''"),
        ("rate_limit", "10", f"{AS_TEXT} '10'"),
        ("rate_limit", "ten/s", f"{AS_TEXT} 'ten/s'"),
        ("rate_limit", "10/fortnight", f"{AS_TEXT} '10/fortnight'"),
        ("rate_limit", "-1/s", f"{AS_TEXT} '-1/s'"),
        ("rate_limit", "1.5/s", f"{AS_TEXT} '1.5/s'"),
        ("rate_limit", "٣/s", f"{AS_TEXT} '٣/s'"),
        ("rate_limit", "0/s", f"count: {COUNT} 0"),
        ("rate_limit", "100001/s", f"count: {COUNT} 100001"),
        ("rate_limit", "1/0s", f"per: {SPAN} datetime.timedelta(0)"),
        ("rate_limit", "1/367d", f"per: {SPAN} datetime.timedelta(days=367)"),
        ("rate_limit", f"1/{10**18}d", f"{AS_TEXT} '1/{10**18}d'"),
        ("concurrency", 0, f"limit: {COUNT} 0"),
        ("concurrency", -3, f"limit: {COUNT} -3"),
        ("concurrency", 100_001, f"limit: {COUNT} 100001"),
        ("concurrency", True, "expected a Concurrency or a whole number, got True"),
        ("concurrency", 3.0, "expected a Concurrency or a whole number, got 3.0"),
        ("concurrency", "3", "expected a Concurrency or a whole number, got '3'"),
        ("concurrency", RateLimit(3), "expected a Concurrency or a whole number, got RateLimit(count=3"),
        ("ordering_key", 5, f"{AS_ORDER} 5"),
        ("ordering_key", ("api",), f"{AS_ORDER} ('api',)"),
        ("ordering_key", "", "expected the name of an argument (api, path) as key, got ''"),
        ("ordering_key", "app", "expected the name of an argument (api, path) as key, got 'app'"),
        ("ordering_key", "surplus", "expected the name of an argument (api, path) as key, got 'surplus'"),
        ("ordering_key", "more", "expected the name of an argument (api, path) as key, got 'more'"),
        (
            "ordering_key",
            Ordering(key="app"),
            "expected the name of an argument (api, path) as key, got 'app'",
        ),
        (
            "rate_limit",
            RateLimit(5, key="app"),
            "expected the name of an argument (api, path) as key, got 'app'",
        ),
        (
            "concurrency",
            Concurrency(5, key="app"),
            "expected the name of an argument (api, path) as key, got 'app'",
        ),
        (
            "breaker",
            CircuitBreaker(failures=5, key="app"),
            "expected the name of an argument (api, path) as key, got 'app'",
        ),
        ("breaker", 5, "expected a CircuitBreaker, got 5"),
        ("breaker", "5/m", "expected a CircuitBreaker, got '5/m'"),
        ("breaker", CircuitBreaker, "expected a CircuitBreaker, got <class"),
    ],
)
def test_a_wrong_option_is_refused_naming_job_option_and_what_came(option: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        define(**{option: value})

    assert str(caught.value).startswith(f"@job sample.limited: {option}: ")
    assert message in str(caught.value)


def test_a_job_without_arguments_has_none_to_name() -> None:
    with pytest.raises(ConfigurationError, match=r"expected the name of an argument \(none\) as key"):

        @job(ordering_key="api")
        def alone() -> None: ...


def test_the_context_is_no_argument() -> None:
    with pytest.raises(ConfigurationError, match=r"\(api\) as key, got 'context'"):

        @job(takes_context=True, concurrency=Concurrency(1, key="context"))
        def with_context(context: Any, api: str) -> None: ...


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RateLimit("10"), f"count: {COUNT} '10'"),  # type: ignore[arg-type]
        (lambda: RateLimit(True), f"count: {COUNT} True"),
        (lambda: RateLimit(1, per="5"), f"per: {SPAN} '5'"),  # type: ignore[arg-type]
        (lambda: RateLimit(1, per=timedelta(0)), f"per: {SPAN}"),
        (lambda: RateLimit(1, per=timedelta(days=-1)), f"per: {SPAN}"),
        (lambda: RateLimit(1, burst=0), f"burst: {COUNT} 0"),
        (lambda: RateLimit(1, burst="20"), f"burst: {COUNT} '20'"),  # type: ignore[arg-type]
        (
            lambda: RateLimit(1, per=timedelta(days=100), burst=4),
            f"burst: expected burst / count * per of at most {LONGEST}, got 4",
        ),
        (
            lambda: RateLimit(1, counts_from="middle"),  # type: ignore[arg-type]
            "counts_from: expected 'end' or 'start', got 'middle'",
        ),
        (
            lambda: RateLimit(1, counts_from=["end"]),  # type: ignore[arg-type]
            "counts_from: expected 'end' or 'start', got ['end']",
        ),
        (lambda: RateLimit(1, key=5), "key: expected the name of an argument or a function, got 5"),  # type: ignore[arg-type]
        (lambda: RateLimit(1, name=""), "name: expected 1 to 200 printable characters, got ''"),
        (lambda: RateLimit(1, name="x" * 201), "name: expected 1 to 200 printable characters, got 'xxx"),
        (lambda: RateLimit(1, name="a\0b"), "name: expected 1 to 200 printable characters, got 'a\\x00b'"),
        (lambda: RateLimit(1, name="\ud800"), "name: expected 1 to 200 printable characters, got '\\ud800'"),
        (lambda: RateLimit(1, name=5), "name: expected 1 to 200 printable characters, got 5"),  # type: ignore[arg-type]
        (lambda: Concurrency(0), f"limit: {COUNT} 0"),
        (
            lambda: Concurrency(1, key=["api"]),
            "key: expected the name of an argument or a function, got ['api']",
        ),  # type: ignore[arg-type]
        (lambda: Ordering(key=7), "key: expected the name of an argument or a function, got 7"),  # type: ignore[arg-type]
        (lambda: Ordering(key="api", name=" "), "name: expected 1 to 200 printable characters, got ' '"),
        (lambda: CircuitBreaker(failures=0), "failures: expected 1 to 1000, got 0"),
        (lambda: CircuitBreaker(failures=1001), "failures: expected 1 to 1000, got 1001"),
        (lambda: CircuitBreaker(failures="5"), "failures: expected 1 to 1000, got '5'"),  # type: ignore[arg-type]
        (lambda: CircuitBreaker(failures=5, within="60"), f"within: {SPAN} '60'"),  # type: ignore[arg-type]
        (lambda: CircuitBreaker(failures=5, open_for=timedelta(0)), f"open_for: {SPAN}"),
        (
            lambda: CircuitBreaker(failures=5, key=5),
            "key: expected the name of an argument or a function, got 5",
        ),  # type: ignore[arg-type]
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_is_written(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=r"^\w+: expected") as caught:
        make()

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("10/s", 10, 1),
        (" 100 / m ", 100, 60),
        ("5/10s", 5, 10),
        ("1000/hour", 1000, 3600),
        ("1/d", 1, 86_400),
        ("3/2minute", 3, 120),
    ],
)
def test_text_says_the_same_as_a_rate(text: str, count: int, seconds: int) -> None:
    definition = define(rate_limit=text)

    assert definition.options.limits == (RateLimit(count, per=timedelta(seconds=seconds)),)


def test_without_options_there_is_no_limit() -> None:
    definition = define(rate_limit=None, concurrency=None, ordering_key=None, breaker=None)

    assert definition.options.limits == ()
    assert needs(definition, "stripe") == ()


class Api(Enum):
    STRIPE = "stripe"


@pytest.mark.parametrize(
    ("value", "key_text"),
    [
        ("stripe", "stripe"),
        ("", ""),
        (7, "7"),
        (-7, "-7"),
        (True, "True"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01 00:00:00+00:00"),
        (Api.STRIPE, "stripe"),
        (type("Shown", (str,), {"__str__": lambda _: "as another"})("stripe"), "stripe"),
        (SimpleLazyObject(lambda: "stripe"), "stripe"),
        (Customer(pk=7), "sampleapp.customer:7"),
        (("eu", 7), "eu/7"),
        (("a/b", "c"), "a\\/b/c"),
        (("a", "b/c"), "a/b\\/c"),
        (("a\\", "c"), "a\\\\/c"),
        ("x" * MAX_KEY_LENGTH, "x" * MAX_KEY_LENGTH),
    ],
)
@pytest.mark.parametrize("key", ["api", lambda api, **_: api], ids=["name", "function"])
def test_a_key_is_the_text_of_what_the_argument_is(key: Any, value: object, key_text: str) -> None:
    assert keys(define(ordering_key=key), value) == [key_text]


@pytest.mark.parametrize("key", ["api", lambda api, **_: api], ids=["name", "function"])
def test_a_key_of_none_is_no_limit(key: Any) -> None:
    assert keys(define(ordering_key=key, concurrency=3), None) == [""]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "got list"),
        ({"a": 1}, "got dict"),
        (1.5, "got float"),
        (b"stripe", "got bytes"),
        ((), "got tuple"),
        (("eu", [7]), "got list"),
        (("eu", None), "got NoneType"),
        (object(), "got object"),
        ("x" * (MAX_KEY_LENGTH + 1), f"expected a key of at most {MAX_KEY_LENGTH} characters without NUL"),
        (("x" * 150, "y" * 150), f"expected a key of at most {MAX_KEY_LENGTH} characters without NUL"),
        ("a\0b", "expected a key of at most 200 characters without NUL"),
        ("\ud800", "expected a key of at most 200 characters without NUL or half a surrogate pair"),
    ],
)
@pytest.mark.parametrize("key", ["api", lambda api, **_: api], ids=["name", "function"])
def test_what_is_no_key_fails_the_enqueue_naming_job_and_option(key: Any, value: object, message: str) -> None:
    definition = define(rate_limit=RateLimit(5, key=key))

    with pytest.raises(LimitKeyError) as caught:
        definition.enqueue(value)

    said = str(caught.value)
    assert said.startswith("sample.limited: rate_limit: ")
    assert message in said
    assert not isinstance(value, str) or value not in said


@pytest.mark.parametrize(
    ("option", "limit"),
    [
        ("rate_limit", lambda key: RateLimit(5, key=key)),
        ("concurrency", lambda key: Concurrency(5, key=key)),
        ("ordering_key", lambda key: key),
        ("breaker", lambda key: CircuitBreaker(failures=5, key=key)),
    ],
)
def test_a_function_that_raises_fails_the_enqueue_with_its_reason(option: str, limit: Any) -> None:
    def key(api: str, **_: Any) -> str:
        return {"known": "key"}[api]

    definition = define(**{option: limit(key)})

    with pytest.raises(LimitKeyError) as caught:
        definition.enqueue("unknown")

    said = f"sample.limited: {option}: the key's function failed for these arguments: KeyError: 'unknown'"
    assert str(caught.value) == said
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("digits", [201, 5_000])
def test_a_key_that_is_too_long_a_number_fails_the_enqueue(digits: int) -> None:
    with pytest.raises(LimitKeyError, match="expected a key of at most 200 characters"):
        define(ordering_key=lambda **_: -(10**digits)).enqueue("a")


def test_a_function_that_takes_other_arguments_fails_the_enqueue() -> None:
    definition = define(ordering_key=lambda tenant: tenant)

    with pytest.raises(LimitKeyError, match=r"^sample\.limited: ordering_key: .* TypeError: .* argument 'path'"):
        definition.enqueue("stripe")


def test_of_many_jobs_one_without_a_key_fails_them_all_before_anything_is_written() -> None:
    definition = define(ordering_key="api")

    with pytest.raises(LimitKeyError):
        definition.enqueue_many([("stripe",), ([],)])


def test_a_function_is_given_all_arguments_by_name_with_their_defaults() -> None:
    given: list[dict[str, Any]] = []

    def key(**arguments: Any) -> str:
        given.append(arguments)
        return "key"

    needs(define(ordering_key=key), "stripe", tenant=7)

    assert given == [{"api": "stripe", "path": "/", "surplus": [], "tenant": 7}]


def test_a_name_makes_a_limit_of_two_jobs_one_and_a_kind_two() -> None:
    shared = RateLimit(5, name="partner", key="api")
    one = needs(define(rate_limit=shared), "stripe")
    other = needs(job(name="sample.other", rate_limit=shared)(work), "stripe")
    own = needs(define(rate_limit=RateLimit(5, key="api")), "stripe")
    breaker = needs(define(breaker=CircuitBreaker(failures=5, name="partner", key="api")), "stripe")

    assert one[0].limit_id == other[0].limit_id
    assert len({one[0].limit_id, own[0].limit_id, breaker[0].limit_id}) == 3
    assert [one[0].name, own[0].name] == ["partner", "sample.limited"]


def test_all_four_may_be_given_together() -> None:
    definition = define(
        rate_limit="10/s", concurrency=3, ordering_key="api", breaker=CircuitBreaker(failures=5, key="path")
    )

    found = {one.rule.kind: one.key for one in needs(definition, "stripe")}
    assert found == {
        LimitKind.ORDER: "stripe",
        LimitKind.CONCURRENCY: "",
        LimitKind.BREAKER: "/",
        LimitKind.RATE: "",
    }
