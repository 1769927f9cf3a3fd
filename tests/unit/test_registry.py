import pytest

from django_jobs import job, registry
from django_jobs.exceptions import ConfigurationError, UnknownJobError
from tests.sampleapp import jobs


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


def test_jobs_of_installed_apps_are_found_without_being_imported_by_anybody():
    assert registry.find("sample.named") is jobs.named
    assert registry.get("tests.sampleapp.jobs.do_nothing") is jobs.do_nothing


def test_an_unknown_name_is_none_to_find_and_an_error_that_lists_the_known_to_get():
    assert registry.find("gone") is None
    with pytest.raises(UnknownJobError, match=r"^no job is named 'gone'; known are .*sample\.named"):
        registry.get("gone")
    with pytest.raises(UnknownJobError, match=r"^no job is named 'sample\.nmaed'; did you mean 'sample\.named'\?$"):
        registry.get("sample.nmaed")


def test_an_empty_registry_says_that_none_is_known(monkeypatch):
    monkeypatch.setattr(registry, "_definitions", {})

    with pytest.raises(UnknownJobError, match="known are none"):
        registry.get("sample.gone")


def test_all_jobs_come_sorted_by_name():
    names = [definition.name for definition in registry.all_definitions()]

    assert names == sorted(names)
    assert "sample.named" in names


def test_two_functions_under_one_name_are_refused_naming_both():
    @job(name="sample.twice")
    def first():
        pass

    with pytest.raises(ConfigurationError) as caught:

        @job(name="sample.twice")
        def second():
            pass

    message = str(caught.value)
    assert "two jobs are named 'sample.twice'" in message
    assert first.function.__qualname__ in message
    assert "second" in message
    assert registry.get("sample.twice") is first


def test_a_module_that_is_loaded_again_registers_its_jobs_anew():
    def define():
        @job(name="sample.again")
        def again():
            pass

        return again

    define()
    latest = define()

    assert registry.get("sample.again") is latest
