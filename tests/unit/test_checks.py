import pytest
from django.conf import settings
from django.core import checks, management
from django.db import connection
from django.test import override_settings

RIVAL = "tests.unit.rivalapp"


@pytest.fixture
def _fresh_commands():
    management.get_commands.cache_clear()
    yield
    management.get_commands.cache_clear()


@pytest.fixture(autouse=True)
def _immediate(monkeypatch):
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": "IMMEDIATE"})


def messages():
    return [
        message
        for message in checks.run_checks(tags=[checks.Tags.compatibility])
        if message.id.startswith("django_jobs.")
    ]


def ids():
    return [message.id for message in messages()]


def test_the_settings_of_the_tests_pass():
    assert ids() == []


@override_settings(DJANGO_JOBS={"WORKERS": 4, "WORKER": {"CONCURENCY": 3, "NOTIFY": "no"}})
def test_each_wrong_setting_is_an_error_that_says_what_is_wrong():
    assert {(message.id, message.level) for message in messages()} == {("django_jobs.E001", checks.ERROR)}
    assert [message.msg for message in messages()] == [
        "DJANGO_JOBS: unknown key 'WORKERS'; did you mean WORKER?",
        "DJANGO_JOBS['WORKER']: unknown key 'CONCURENCY'; did you mean ASYNC_CONCURRENCY?",
        "DJANGO_JOBS['WORKER']['NOTIFY']: expected True or False, got 'no'",
    ]


@override_settings(DJANGO_JOBS={"DATABASE": 5})
def test_one_that_is_no_dict_of_settings_is_one_error():
    assert ids() == ["django_jobs.E001"]


@pytest.mark.parametrize("given", [None, []])
def test_no_dict_at_all_is_an_error(given):
    with override_settings(DJANGO_JOBS=given):
        assert ids() == ["django_jobs.E001"]


@pytest.mark.django_db
@pytest.mark.parametrize("given", [None, {"WORKERS": 4}, {"HOOKS": "shop.hooks.Tenant"}, {"DATABASE": "nowhere"}])
def test_a_wrong_setting_is_an_error_of_manage_py_check_too_which_runs_the_checks_of_databases(given):
    with override_settings(DJANGO_JOBS=given):
        found = checks.run_checks(databases=["default"])
    assert [message.id for message in found if message.id.startswith("django_jobs.")] == ["django_jobs.E001"]


@override_settings(DJANGO_JOB={}, DJANGO_JOBS_WORKER={"NOTIFY": False}, TASKS={})
def test_a_setting_whose_name_looks_like_ours_is_a_warning():
    assert [(message.id, message.level, message.msg) for message in messages()] == [
        ("django_jobs.W005", checks.WARNING, "The setting DJANGO_JOB is not read."),
        ("django_jobs.W005", checks.WARNING, "The setting DJANGO_JOBS_WORKER is not read."),
    ]


@override_settings(USE_TZ=False)
def test_local_time_is_an_error():
    assert ids() == ["django_jobs.E002"]


def test_a_database_of_another_vendor_is_an_error(monkeypatch):
    monkeypatch.setattr(connection, "vendor", "oracle", raising=False)
    monkeypatch.setattr(connection, "display_name", "Oracle", raising=False)

    [message] = messages()

    assert message.id == "django_jobs.E003"
    assert "'default' is a Oracle database" in message.msg


def test_a_database_with_a_time_zone_of_its_own_is_an_error(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "TIME_ZONE", "Europe/Berlin")

    assert ids() == ["django_jobs.E004"]


@pytest.mark.usefixtures("_fresh_commands")
def test_a_runworker_that_hides_ours_is_a_warning_that_names_its_app():
    with override_settings(INSTALLED_APPS=[RIVAL, *settings.INSTALLED_APPS]):
        [message] = messages()

    assert message.id == "django_jobs.W001"
    assert message.level == checks.WARNING
    assert f"is the command of '{RIVAL}'" in message.msg
    assert "jobs work" in message.hint


@pytest.mark.usefixtures("_fresh_commands")
def test_a_runworker_that_ours_hides_is_none():
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, RIVAL]):
        assert ids() == []


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite begins transactions without a lock")
@pytest.mark.parametrize(
    "options", [None, {}, {"timeout": 20}, {"transaction_mode": None}, {"transaction_mode": "deferred"}]
)
def test_sqlite_as_startproject_leaves_it_is_a_warning_with_the_cure(monkeypatch, options):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)

    [message] = messages()

    assert (message.id, message.level) == ("django_jobs.W004", checks.WARNING)
    assert message.msg.startswith("DATABASES['default']: the project's transactions on SQLite do not begin IMMEDIATE")
    assert "'transaction_mode': 'IMMEDIATE', 'timeout': 20" in message.hint


@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_transactions_that_take_the_lock_at_their_begin_are_fine(monkeypatch, mode):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": mode})

    assert ids() == []


def test_a_database_in_memory_has_no_other_writer(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    monkeypatch.setitem(connection.settings_dict, "NAME", ":memory:")

    assert ids() == []


@override_settings(DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True}}, ADMINS=[])
def test_mails_to_admins_that_nobody_gets_are_a_warning():
    assert [(message.id, message.level) for message in messages()] == [("django_jobs.W007", checks.WARNING)]
    assert "ADMINS is empty" in messages()[0].msg


@pytest.mark.parametrize(("is_on", "admins"), [(True, [("Ada", "ada@shop.example")]), (False, [])])
def test_mails_to_admins_are_fine_with_admins_or_if_they_are_off(is_on, admins):
    with override_settings(DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": is_on}}, ADMINS=admins):
        assert ids() == []
