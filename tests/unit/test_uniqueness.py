from datetime import timedelta

import pytest

from django_jobs import Batch, chain, chord, group, job, registry
from django_jobs.exceptions import ArgumentsError, ConfigurationError, SerializationError
from django_jobs.policy.uniqueness import ConflictRule, OnConflict
from django_jobs.uniqueness import Unique, idempotency_key_of, unique_key_of

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


def work(user_id: int, full: bool = False) -> None:
    """Do nothing."""


def open_work(user_id: int, **more: int) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("unique", "words"),
    [
        ("user_id", ["expected Unique(...)", "'user_id'"]),
        (Unique(by="user_id"), ["by: expected a tuple of names", "'user_id'"]),
        (Unique(by=("user", "ful")), ["by: expected arguments of (user_id: int, full", "'ful', 'user'"]),
        (Unique(by=(1,)), ["by: expected a tuple of names"]),
        (Unique(states=()), ["states: expected a tuple of blocked, ready, running, scheduled", "()"]),
        (Unique(states=("ready", "dead")), ["states: expected", "dead"]),
        (Unique(states="ready"), ["states: expected"]),
        (Unique(states=(["ready"],)), ["states: expected"]),
        (Unique(on_conflict="raise"), ["on_conflict: expected one of skip, replace, reschedule", "'raise'"]),
        (Unique(on_conflict=[]), ["on_conflict: expected one of"]),
        (Unique(max_wait=MINUTE), ["max_wait: expected no less than debounce"]),
        (Unique(debounce=2 * MINUTE, max_wait=MINUTE), ["max_wait: expected no less than debounce"]),
        (Unique(debounce=MINUTE, on_conflict="skip"), ["on_conflict: expected replace or reschedule"]),
        (Unique(debounce=MINUTE, states=("ready", "running")), ["states: expected no running"]),
    ],
)
def test_a_wrong_option_is_refused_at_decoration_with_job_option_and_what_was_expected(unique, words):
    with pytest.raises(ConfigurationError) as caught:
        job(name="sample.work", unique=unique)(work)

    assert str(caught.value).startswith("@job sample.work: unique: ")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "unique",
    [
        Unique(),
        Unique(by=()),
        Unique(by=["user_id", "full"]),
        Unique(by=lambda user_id, **_: user_id),
        Unique(states={"running"}),
        Unique(debounce=MINUTE, max_wait=MINUTE, on_conflict="reschedule"),
    ],
)
def test_what_fits_is_kept(unique):
    assert job(name="sample.work", unique=unique)(work).options.unique is unique


def test_a_function_that_takes_any_keyword_may_be_unique_by_any():
    definition = job(name="sample.open", unique=Unique(by=("user_id", "tenant")))(open_work)
    arguments = definition.signature.by_name(definition.signature.bind((1,), {"tenant": 2, "other": 3}))

    assert unique_key_of("x", definition.options.unique, arguments, secret=()).text == ('{"tenant":2,"user_id":1}')


def test_a_burst_ends_with_the_last_arguments_unless_said_otherwise():
    assert Unique().rule == ConflictRule(on_conflict=OnConflict.SKIP)
    assert Unique(debounce=MINUTE, max_wait=2 * MINUTE).rule == ConflictRule(
        on_conflict=OnConflict.REPLACE, max_wait=2 * MINUTE
    )
    assert Unique(debounce=MINUTE, on_conflict="reschedule").rule.on_conflict is OnConflict.RESCHEDULE


def test_a_long_key_is_cut_where_it_is_read_and_whole_where_it_counts():
    keys = [unique_key_of("x", Unique(), {"text": "a" * 1000 + end}, secret=()) for end in "bc"]

    assert keys[0].digest != keys[1].digest
    assert {len(key.text) for key in keys} == {255}


def test_a_key_function_that_fails_fails_the_enqueue():
    definition = job(name="sample.work", unique=Unique(by=lambda user_id, **_: {}[user_id]))(work)
    with pytest.raises(ArgumentsError, match=r"sample\.work: unique: by: the function of the key raised KeyError: 7"):
        definition.enqueue(7)

    with pytest.raises(SerializationError, match=r"sample\.work: unique: by"):
        job(name="sample.work", unique=Unique(by=lambda **_: object()))(work).enqueue(7)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"idempotency_key": 7}, ["using(idempotency_key): expected 1 to 255 printable", "7"]),
        ({"idempotency_key": "x" * 256}, ["using(idempotency_key): expected 1 to 255 printable"]),
        ({"idempotency_key": "a\nb"}, ["using(idempotency_key): expected 1 to 255 printable"]),
        ({"idempotency_key": ""}, ["using(idempotency_key): expected 1 to 255 printable"]),
        ({"idempotency_window": "5"}, ["using(idempotency_window): expected a timedelta or seconds", "5"]),
        ({"idempotency_window": timedelta(0)}, ["using(idempotency_window): expected a timedelta or seconds, above"]),
    ],
)
def test_a_wrong_option_of_one_enqueue_is_refused(options, words):
    with pytest.raises(ConfigurationError) as caught:
        job(name="sample.work")(work).using(**options)
    for word in ["sample.work", *words]:
        assert word in str(caught.value)


def test_options_that_do_not_go_together_are_refused_before_anything_is_written():
    plain = job(name="sample.work")(work)
    with pytest.raises(ConfigurationError, match="expected an idempotency_key with it"):
        plain.using(idempotency_window=MINUTE).enqueue(1)
    with pytest.raises(ConfigurationError, match="expected a function of the arguments for enqueue_many"):
        plain.using(idempotency_key="k").enqueue_many([(1,), (2,)])
    for keyed in (
        job(name="sample.many", unique=Unique())(work),
        plain.using(idempotency_key=lambda **_: "k"),
    ):
        with pytest.raises(ConfigurationError, match=r"enqueue_stream: expected a job without a key"):
            keyed.enqueue_stream([(1,)])
        for of_many in (
            chain(keyed.s(1), plain.s()),
            group(plain.s(1), keyed.s(1)),
            chord(group(plain.s(1)), keyed.s()),
        ):
            with pytest.raises(ConfigurationError, match=r"s\(\): expected a job without a key, got one that is"):
                of_many.enqueue()
        with pytest.raises(ConfigurationError, match="is no part of this graph or batch"):
            Batch(on_success=keyed.s(1)).__enter__()
    with pytest.raises(ConfigurationError, match="expected a job without unique"):
        job(name="sample.unique", unique=Unique())(work).using(idempotency_key="k").enqueue(1)


@pytest.mark.parametrize("given", [lambda user_id: 7, lambda user_id: "", lambda: "k", lambda user_id: 1 / 0])
def test_an_idempotency_function_that_comes_to_no_key_fails_the_enqueue(given):
    with pytest.raises(ArgumentsError, match=r"sample\.work\.using\(idempotency_key\)"):
        idempotency_key_of("sample.work", given, None, {"user_id": 7})


def test_surplus_positions_are_given_to_a_function_of_the_key_under_their_own_name():
    @job(name="sample.surplus")
    def surplus(first, /, *rest, last=3, **more):
        """Do nothing."""

    bind = surplus.signature.bind
    assert surplus.signature.by_name(bind((1, 2, 4), {"x": 5})) == {
        "first": 1,
        "rest": [2, 4],
        "last": 3,
        "x": 5,
    }
    assert surplus.signature.by_name(bind((1,), {"first": 9})) == {"first": 1, "rest": [], "last": 3}
