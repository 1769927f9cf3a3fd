from datetime import timedelta

import pytest
from django.test import override_settings

from django_jobs import ConfigurationError, Constant, Exponential
from django_jobs.conf import Settings, get_settings, read_settings
from django_jobs.policy.states import State

HOUR = timedelta(hours=1)


def test_nothing_given_is_all_defaults():
    assert read_settings({}) == Settings()


def test_the_defaults_of_a_job_are_those_of_the_docs():
    defaults = read_settings({}).job_defaults

    assert defaults.queue_name == "default"
    assert defaults.priority == 0
    assert defaults.max_attempts == 5
    assert defaults.backoff == Exponential()
    assert defaults.timeout is None


def test_every_setting_is_read():
    settings = read_settings(
        {
            "DATABASE": "default",
            "JOB_DEFAULTS": {"queue_name": "slow", "priority": 7, "max_attempts": 1, "timeout": 60},
            "QUEUES": {"mail": {"priority": 3, "backoff": [5, 6]}},
            "RETENTION": {"succeeded": 3600, "dead": None},
            "MAX_PAYLOAD_BYTES": 10,
            "MAX_RESULT_BYTES": 11,
            "RESULT_TTL": 3600,
            "RESULT_STORAGE": "results",
            "HEARTBEAT_INTERVAL": 1,
            "STALE_AFTER": 2,
            "POLL_INTERVAL": 3,
            "POLL_INTERVAL_UNRUNG": 0.5,
            "SHUTDOWN_GRACE": 0,
            "PREFETCH_HORIZON": 0.1,
            "CLAIM_BATCH": 12,
            "ASYNC_CONCURRENCY": 13,
            "UNKNOWN_JOB_DELAY": 4,
            "UNKNOWN_JOB_TTL": HOUR,
            "MAIL_ADMINS": True,
            "MAIL_ADMINS_PERIOD": HOUR,
            "RING": False,
            "REDACT": ["pin"],
            "SCHEDULABLE": ["shop.digest"],
            "TICK_RETENTION": None,
        }
    )

    assert settings.job_defaults.queue_name == "slow"
    assert settings.job_defaults.timeout == timedelta(minutes=1)
    assert settings.queues["mail"]["priority"] == 3
    assert settings.retention[State.SUCCEEDED] == HOUR
    assert settings.retention[State.DEAD] is None
    assert settings.retention[State.CANCELLED] == timedelta(days=7)
    assert settings.shutdown_grace == timedelta(0)
    assert settings.poll_interval_unrung == timedelta(milliseconds=500)
    assert (settings.max_payload_bytes, settings.max_result_bytes) == (10, 11)
    assert (settings.claim_batch, settings.async_concurrency) == (12, 13)
    assert (settings.result_ttl, settings.result_storage) == (HOUR, "results")
    assert settings.mail_admins is True
    assert settings.ring is False
    assert settings.redact == ("pin",)
    assert settings.schedulable == ("shop.digest",)
    assert settings.tick_retention is None


def test_what_was_read_cannot_be_changed():
    settings = read_settings({"QUEUES": {"mail": {"priority": 3}}})

    with pytest.raises(AttributeError):
        settings.ring = False
    with pytest.raises(TypeError):
        settings.queues["mail"] = {}
    with pytest.raises(TypeError):
        settings.queues["mail"]["priority"] = 4
    with pytest.raises(TypeError):
        settings.retention[State.DEAD] = None


@pytest.mark.parametrize(
    ("given", "unknown", "known"),
    [
        ({"POOL_INTERVAL": 1}, "DJANGO_JOBS: unknown key 'POOL_INTERVAL'", "POLL_INTERVAL"),
        ({"ring": True}, "DJANGO_JOBS: unknown key 'ring'", "RING"),
        (
            {"JOB_DEFAULTS": {"retries": 1}},
            "DJANGO_JOBS['JOB_DEFAULTS']: unknown key 'retries'",
            "max_attempts",
        ),
        (
            {"QUEUES": {"mail": {"queue_name": "x"}}},
            "DJANGO_JOBS['QUEUES']['mail']: unknown key 'queue_name'",
            "priority",
        ),
        ({"RETENTION": {"ready": 1}}, "DJANGO_JOBS['RETENTION']: unknown key 'ready'", "succeeded"),
    ],
)
def test_an_unknown_key_is_refused_with_the_list_of_the_known(given, unknown, known):
    with pytest.raises(ConfigurationError) as caught:
        read_settings(given)

    message, _, listed = str(caught.value).partition("; known are ")
    assert message == unknown
    assert known in listed.split(", ")
    assert listed.split(", ") == sorted(listed.split(", "))


DURATIONS = [
    "HEARTBEAT_INTERVAL",
    "STALE_AFTER",
    "POLL_INTERVAL",
    "POLL_INTERVAL_UNRUNG",
    "PREFETCH_HORIZON",
    "UNKNOWN_JOB_DELAY",
    "UNKNOWN_JOB_TTL",
    "MAIL_ADMINS_PERIOD",
    "IDEMPOTENCY_WINDOW",
    "STATUS_POLL_INTERVAL",
]
COUNTS = ["MAX_PAYLOAD_BYTES", "MAX_RESULT_BYTES", "CLAIM_BATCH", "ASYNC_CONCURRENCY", "MAX_WORKER_DEATHS"]
NO_NUMBERS = ["5", None, True, float("nan"), 1e300, [5]]

BAD_VALUES = [
    *[("MAX_LOG_LINES", bad, "expected a whole number from 0 to 10000") for bad in ("5", True, -1, 10_001)],
    *[("MAX_LOG_LINE_LENGTH", bad, "expected a whole number from 100") for bad in ("5", None, 99, 100_001)],
    *(
        (key, bad, "expected a timedelta or seconds")
        for key in [*DURATIONS, "SHUTDOWN_GRACE", "HANG_GRACE", "STATUS_MAX_WAIT"]
        for bad in NO_NUMBERS
    ),
    *((key, bad, "expected a positive duration") for key in DURATIONS for bad in (0, -1, timedelta(0))),
    ("SHUTDOWN_GRACE", -1, "expected"),
    ("HANG_GRACE", -1, "expected"),
    *(
        (key, bad, "expected a whole number of at least 1")
        for key in COUNTS
        for bad in (0, -1, 1.5, "5", True, None)
    ),
    *((key, bad, "expected True or False") for key in ("RING", "MAIL_ADMINS") for bad in (1, "yes", None)),
    *(
        (key, bad, "expected a tuple of names")
        for key in ("REDACT", "SCHEDULABLE")
        for bad in ("token", None, [5], [""], 7)
    ),
    *(
        (key, bad, "expected a timedelta or seconds")
        for key in ("TICK_RETENTION", "ONCE_RETENTION")
        for bad in ("5", True, [5])
    ),
    *((key, 0, "expected a positive duration") for key in ("TICK_RETENTION", "ONCE_RETENTION")),
    *(("RESULT_TTL", bad, "expected a timedelta or seconds") for bad in ("5", True, [5])),
    *(("RESULT_TTL", bad, "at most 3650 days") for bad in (0, -1, timedelta.max)),
    *(("RESULT_STORAGE", bad, "expected a name") for bad in (5, "", True)),
    ("RESULT_STORAGE", "x" * 101, "expected an alias of up to 100 characters"),
    (
        "RESULT_STORAGE",
        "attic",
        "expected an alias of STORAGES (broken, default, results, staticfiles) or None",
    ),
    ("STATUS_MAX_WAIT", -1, "expected a duration of zero or more"),
    *(("STATUS_MAX_AGE", bad, "expected a timedelta or seconds") for bad in ("5", True, [5])),
    ("STATUS_MAX_AGE", 0, "expected a positive duration"),
    *(
        (key, bad, "expected a whole number of zero or more")
        for key in ("STATUS_WAITING", "STATUS_WAITING_WSGI")
        for bad in (-1, 1.5, "5", True, None)
    ),
    *(
        ("STATUS_MAY_SEE", bad, "expected a function of (request, job), its dotted path, or None")
        for bad in ("may_see", 5, True, [])
    ),
    ("BATCH_ABANDONED_AFTER", 0, "expected a positive duration"),
    ("BATCH_ABANDONED_AFTER", None, "expected a timedelta or seconds"),
    *(("DATABASE", bad, "expected a name") for bad in ("", None, 5)),
    ("DATABASE", "elsewhere", "expected an alias of DATABASES (default), got 'elsewhere'"),
    *(
        (key, bad, "expected a dict")
        for key in ("QUEUES", "RETENTION", "JOB_DEFAULTS")
        for bad in (None, [], "x")
    ),
    ("RETENTION", {"dead": 0}, "['dead']: expected a positive duration"),
    ("RETENTION", {"dead": "long"}, "['dead']: expected a timedelta or seconds"),
    ("QUEUES", {"": {}}, "expected 1 to 100 printable characters without commas, got ''"),
    ("QUEUES", {5: {}}, "expected 1 to 100 printable characters without commas, got 5"),
    ("QUEUES", {"mail": 5}, "['mail']: expected a dict"),
    ("QUEUES", {"mail": {"priority": 101}}, "['mail']['priority']: expected a whole number from -100 to 100"),
    (
        "JOB_DEFAULTS",
        {"queue_name": "a,b"},
        "['queue_name']: expected 1 to 100 printable characters without commas",
    ),
    ("JOB_DEFAULTS", {"priority": "high"}, "['priority']: expected a whole number from -100 to 100"),
    ("JOB_DEFAULTS", {"max_attempts": 0}, "['max_attempts']: expected a whole number from 1 to 10000"),
    ("JOB_DEFAULTS", {"backoff": "slow"}, "['backoff']: backoff: expected Exponential, Linear"),
    ("JOB_DEFAULTS", {"timeout": 0}, "['timeout']: expected a positive timeout, got 0"),
]


@pytest.mark.parametrize(("key", "bad", "expected"), BAD_VALUES)
def test_a_bad_value_is_refused_naming_the_key_what_was_expected_and_what_came(key, bad, expected):
    with pytest.raises(ConfigurationError) as caught:
        read_settings({key: bad})

    message = str(caught.value)
    assert message.startswith(f"DJANGO_JOBS['{key}']")
    assert expected in message
    assert "got " in message


def test_there_is_a_bad_value_for_every_setting():
    assert {key for key, _, _ in BAD_VALUES} == {name.upper() for name in Settings.__slots__}


@pytest.mark.parametrize("given", [None, [], "DATABASE"])
def test_a_setting_that_is_no_dict_is_refused(given):
    with pytest.raises(ConfigurationError, match=r"^DJANGO_JOBS: expected a dict, got "):
        read_settings(given)


def test_a_worker_may_miss_a_heartbeat_without_being_lost():
    with pytest.raises(
        ConfigurationError, match=r"\['STALE_AFTER'\]: expected at least twice HEARTBEAT_INTERVAL"
    ):
        read_settings({"HEARTBEAT_INTERVAL": 10, "STALE_AFTER": 19})

    assert read_settings({"HEARTBEAT_INTERVAL": 10, "STALE_AFTER": 20}).stale_after == timedelta(seconds=20)


def test_a_log_may_not_be_larger_than_a_row_should_be():
    with pytest.raises(ConfigurationError, match=r"\['MAX_LOG_LINES'\]: expected at most 1000000, times"):
        read_settings({"MAX_LOG_LINES": 1_000, "MAX_LOG_LINE_LENGTH": 1_001})

    assert read_settings({"MAX_LOG_LINES": 1_000, "MAX_LOG_LINE_LENGTH": 1_000}).max_log_lines == 1_000


@pytest.mark.parametrize(
    "name",
    ["a,b", " a", "a ", "a\nb", "a\0b", "", "x" * 101],
    ids=["comma", "leading space", "trailing space", "newline", "nul", "empty", "too long"],
)
def test_a_queue_name_that_the_command_line_or_a_column_could_not_hold_is_refused(name):
    with pytest.raises(ConfigurationError, match="expected 1 to 100 printable characters without commas"):
        read_settings({"JOB_DEFAULTS": {"queue_name": name}})


@pytest.mark.parametrize("name", ["x" * 100, "Rechnungen für Müller", "a.b-c_d/e"])
def test_any_other_queue_name_is_taken(name):
    assert read_settings({"JOB_DEFAULTS": {"queue_name": name}}).job_defaults.queue_name == name


def test_a_very_long_bad_value_is_cut_in_the_message():
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"JOB_DEFAULTS": {"queue_name": "x" * 10_000}})

    assert len(str(caught.value)) < 400


def test_a_backoff_may_be_any_of_its_spellings():
    def ask(exception, context):
        return 1

    assert read_settings({"JOB_DEFAULTS": {"backoff": ask}}).job_defaults.backoff is ask
    constant = Constant(HOUR)
    assert read_settings({"JOB_DEFAULTS": {"backoff": constant}}).job_defaults.backoff is constant


def test_settings_are_read_once_and_again_when_they_change():
    first = get_settings()
    assert get_settings() is first

    with override_settings(DJANGO_JOBS={"CLAIM_BATCH": 3}):
        assert get_settings().claim_batch == 3

    assert get_settings().claim_batch == first.claim_batch
