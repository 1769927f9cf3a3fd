import itertools

import pytest

from django_jobs.arguments.signature import CallSignature
from django_jobs.exceptions import ArgumentsError, ConfigurationError


def signature_of(function, *, takes_context=False):
    return CallSignature(function, name="sample.job", takes_context=takes_context)


def called(function, *args, **kwargs):
    """Bind, and call with what comes back, as the worker does."""
    signature = signature_of(function)
    positions, keywords = signature.call_arguments(signature.bind(args, kwargs))
    return function(*positions, **keywords)


def plain(first, second=2, *, third=3):
    return first, second, third


def surplus(first, *rest, **options):
    return first, rest, options


def by_position(first, /, second=2, **options):
    return first, second, options


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, (1,), {}),
        (plain, (1, 5), {"third": 7}),
        (plain, (), {"first": 1, "third": 9}),
        (plain, (1,), {"second": None}),
        (surplus, (1,), {}),
        (surplus, (1, 2, 3), {"x": 4}),
        (surplus, (), {"first": 1, "rest": 2, "options": 3}),
        (by_position, (1,), {"first": "a keyword of the same name"}),
        (by_position, (1, 5), {"other": 6}),
        (lambda *, only: only, (), {"only": 1}),
        (lambda: None, (), {}),
    ],
)
def test_a_bound_call_arrives_as_it_was_made(function, args, kwargs):
    assert called(function, *args, **kwargs) == function(*args, **kwargs)


@pytest.mark.parametrize("key", ["*", "**"])
def test_a_keyword_named_like_a_mark_of_ours_arrives_as_a_keyword(key):
    def take(**options):
        return options

    assert called(take, **{key: [1], "other": 2}) == {key: [1], "other": 2}


def test_arguments_are_stored_by_name_so_that_rows_can_be_searched():
    assert signature_of(plain).bind((1, 5), {}) == {"first": 1, "second": 5}


def test_defaults_are_not_stored_so_that_a_deploy_may_change_them():
    assert signature_of(plain).bind((1,), {}) == {"first": 1}


def test_the_order_of_parameters_may_change_between_enqueue_and_run():
    def before(first, second):
        return first, second

    def after(second, first):
        return first, second

    stored = signature_of(before).bind((1, 2), {})
    positions, keywords = signature_of(after).call_arguments(stored)

    assert after(*positions, **keywords) == (1, 2)


def test_a_stored_argument_that_the_function_no_longer_takes_is_refused_by_the_call():
    def after(first):
        return first

    positions, keywords = signature_of(after).call_arguments({"first": 1, "gone": 2})

    with pytest.raises(TypeError, match="unexpected keyword argument 'gone'"):
        after(*positions, **keywords)


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "missing a required argument: 'first'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"fourth": 4}, "got an unexpected keyword argument 'fourth'"),
        ((1,), {"first": 1}, "multiple values for argument 'first'"),
    ],
)
def test_a_call_that_does_not_fit_fails_naming_the_job_its_signature_and_the_argument(args, kwargs, why):
    with pytest.raises(ArgumentsError) as caught:
        signature_of(plain).bind(args, kwargs)

    assert str(caught.value).startswith("sample.job(first, second=2, *, third=3): ")
    assert why in str(caught.value)


def test_the_context_is_no_argument_of_the_caller():
    def function(context, value):
        return value

    signature = signature_of(function, takes_context=True)

    assert signature.bind((1,), {}) == {"value": 1}
    with pytest.raises(ArgumentsError, match="unexpected keyword argument 'context'"):
        signature.bind((1,), {"context": 2})


def test_the_context_is_no_surplus_keyword():
    def function(context, **more):
        return more

    with pytest.raises(ArgumentsError, match="got an argument 'context', which is the context that the worker passes"):
        signature_of(function, takes_context=True).bind((), {"context": 2})
    assert signature_of(function).bind((1,), {"context_of": 2}) == {"context": 1, "context_of": 2}


def test_a_context_without_a_name_leaves_it_to_keywords():
    def function(context, /, **more):
        return more

    assert signature_of(function, takes_context=True).bind((), {"context": 2}) == {"context": 2}


@pytest.mark.parametrize("function", [lambda: None, lambda *args: None, lambda *, context: None])
def test_a_function_without_a_place_for_the_context_is_refused(function):
    with pytest.raises(
        ConfigurationError,
        match=r"@job sample\.job: takes_context=True needs a first parameter for the context",
    ):
        signature_of(function, takes_context=True)


def required_keyword(first, *, second):
    return first, second


KEYWORDS = [(), ("first",), ("second",), ("first", "second"), ("second", "first"), ("second", "third")]


@pytest.mark.parametrize("function", [plain, surplus, by_position, required_keyword])
def test_every_short_call_is_bound_as_python_binds_it(function):
    for number, names in itertools.product(range(4), KEYWORDS):
        args, kwargs = tuple(range(number)), dict.fromkeys(names, 7)
        try:
            expected = function(*args, **kwargs)
        except TypeError:
            with pytest.raises(ArgumentsError):
                signature_of(function).bind(args, kwargs)
        else:
            assert called(function, *args, **kwargs) == expected
