import pickle
from datetime import timedelta

import pytest
from django.test import override_settings

from django_jobs.backoff import Constant, Exponential
from django_jobs.conf import Settings, get_settings, is_like_setting, read_settings
from django_jobs.conf.fields import declarations
from django_jobs.exceptions import ConfigurationError, SettingsError
from django_jobs.policy.decide import DecisionSettings
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
            "RELEASE": "4f2c1a",
            "JOB_DEFAULTS": {"queue_name": "slow", "priority": 7, "max_attempts": 1, "timeout": 60},
            "QUEUES": {"mail": {"priority": 3, "backoff": [5, 6]}},
            "ENQUEUE": {"MAX_PAYLOAD_BYTES": 10, "IDEMPOTENCY_WINDOW": 7},
            "WORKER": {
                "HEARTBEAT_INTERVAL": 1,
                "STALE_AFTER": 2,
                "POLL_INTERVAL": 3,
                "POLL_INTERVAL_WITHOUT_NOTIFY": 0.5,
                "NOTIFY": False,
                "SHUTDOWN_GRACE": 0,
                "TIMEOUT_GRACE": 5,
                "PREFETCH_HORIZON": 0.1,
                "CLAIM_BATCH_SIZE": 12,
                "ASYNC_CONCURRENCY": 13,
                "UNKNOWN_JOB_RETRY_DELAY": 4,
                "UNKNOWN_JOB_TTL": HOUR,
                "MAX_WORKER_DEATHS": 6,
                "BATCH_ABANDONED_AFTER": HOUR,
            },
            "RETENTION": {"SUCCEEDED": 3600, "DEAD": None, "TICKS": None, "ONCE": HOUR},
            "RESULTS": {"MAX_BYTES": 11, "STORAGE": "results", "TTL": 3600},
            "LOGS": {"MAX_LINES": 8, "MAX_LINE_LENGTH": 900},
            "STATUS": {"ACCESS_CHECK": "shop.owns", "MAX_WAITERS": 14, "MAX_WAITERS_WSGI": 0},
            "ALERTS": {"MAIL_ADMINS": True, "MAIL_ADMINS_PERIOD": HOUR, "BASE_URL": "https://shop.example:8443/"},
            "MAIL": {"BACKEND": "shop.mail.Backend", "QUEUE_NAME": "mails", "MAX_ATTEMPTS": 3},
            "METRICS": {"PROMETHEUS": True},
            "HOOKS": ["shop.hooks.Tenant"],
            "REDACT": ["pin"],
            "SCHEDULABLE": ["shop.digest"],
        }
    )

    assert settings.release == "4f2c1a"
    assert (settings.mail.backend, settings.mail.queue_name, settings.mail.max_attempts) == (
        "shop.mail.Backend",
        "mails",
        3,
    )
    assert settings.job_defaults.queue_name == "slow"
    assert settings.job_defaults.timeout == timedelta(minutes=1)
    assert settings.queues["mail"]["priority"] == 3
    assert (settings.enqueue.max_payload_bytes, settings.results.max_bytes) == (10, 11)
    assert settings.enqueue.idempotency_window == timedelta(seconds=7)
    assert settings.worker.shutdown_grace == timedelta(0)
    assert settings.worker.timeout_grace == timedelta(seconds=5)
    assert settings.worker.poll_interval_without_notify == timedelta(milliseconds=500)
    assert settings.worker.notify is False
    assert (settings.worker.claim_batch_size, settings.worker.async_concurrency) == (12, 13)
    assert settings.worker.rules == DecisionSettings(
        unknown_retry_delay=timedelta(seconds=4), unknown_ttl=HOUR, max_worker_deaths=6
    )
    assert settings.worker.batch_abandoned_after == HOUR
    assert settings.retention.by_state == {
        State.SUCCEEDED: HOUR,
        State.CANCELLED: timedelta(days=7),
        State.DEAD: None,
    }
    assert (settings.retention.ticks, settings.retention.once) == (None, HOUR)
    assert (settings.results.ttl, settings.results.storage) == (HOUR, "results")
    assert (settings.logs.max_lines, settings.logs.max_line_length) == (8, 900)
    assert settings.status.access_check == "shop.owns"
    assert (settings.status.max_waiters, settings.status.max_waiters_wsgi) == (14, 0)
    assert settings.alerts.mail_admins is True
    assert settings.alerts.mail_admins_period == HOUR
    assert settings.alerts.base_url == "https://shop.example:8443"
    assert settings.metrics.prometheus is True
    assert settings.redact == ("pin",)
    assert (settings.schedulable, settings.hooks) == (("shop.digest",), ("shop.hooks.Tenant",))


def test_what_was_read_cannot_be_changed():
    settings = read_settings({"QUEUES": {"mail": {"priority": 3}}})

    with pytest.raises(AttributeError):
        settings.worker = None
    with pytest.raises(AttributeError):
        settings.worker.notify = False
    with pytest.raises(TypeError):
        settings.queues["mail"] = {}
    with pytest.raises(TypeError):
        settings.queues["mail"]["priority"] = 4
    with pytest.raises(TypeError):
        settings.redact[0] = None


@pytest.mark.parametrize(
    ("path", "key", "says"),
    [
        ("", "WORKERS", "did you mean WORKER?"),
        ("", "SHUTDOWN_GRACE", "SHUTDOWN_GRACE is an option of DJANGO_JOBS['WORKER']"),
        ("WORKER", "POOL_INTERVAL", "did you mean POLL_INTERVAL?"),
        ("WORKER", "CONCURENCY", "did you mean ASYNC_CONCURRENCY?"),
        ("WORKER", "notify", "did you mean NOTIFY?"),
        ("JOB_DEFAULTS", "retries", "did you mean max_attempts? It counts the first attempt too: 3 retries are"),
        ("QUEUES.mail", "time_limit", "did you mean timeout?"),
        ("QUEUES.mail", "queue_name", "known are backoff, max_attempts, priority, timeout"),
        ("RETENTION", 5, "known are CANCELLED, DEAD, INBOX, ONCE, SUCCEEDED, TICKS"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_or_all_that_are_known(path, key, says):
    given, steps = {key: {}}, [step for step in path.split(".") if step]
    for step in reversed(steps):
        given = {step: given}

    with pytest.raises(ConfigurationError) as caught:
        read_settings(given)

    where = "DJANGO_JOBS" + "".join(f"[{step!r}]" for step in steps)
    assert str(caught.value).startswith(f"{where}: unknown key {key!r}; {says}")


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(SettingsError) as caught:
        read_settings(
            {
                "WORKR": {},
                "DATABASE": "elsewhere",
                "JOB_DEFAULTS": {"priority": 1000, "timeout": "long", "max_attempts": 3},
                "QUEUES": {"a,b": {}, "mail": {"priority": "high", "retries": 3}, "slow": 5},
                "WORKER": {"HEARTBEAT_INTERVAL": 10, "STALE_AFTER": 1},
                "RETENTION": [],
            }
        )

    assert str(caught.value) == "\n".join(caught.value.problems)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "DJANGO_JOBS",
        "DJANGO_JOBS['DATABASE']",
        "DJANGO_JOBS['JOB_DEFAULTS']['priority']",
        "DJANGO_JOBS['JOB_DEFAULTS']['timeout']",
        "DJANGO_JOBS['QUEUES']['a,b']",
        "DJANGO_JOBS['QUEUES']['mail']['priority']",
        "DJANGO_JOBS['QUEUES']['mail']",
        "DJANGO_JOBS['QUEUES']['slow']",
        "DJANGO_JOBS['WORKER']['STALE_AFTER']",
        "DJANGO_JOBS['RETENTION']",
    ]
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (copied.problems, str(copied)) == (caught.value.problems, str(caught.value))


@pytest.mark.parametrize(
    ("name", "is_like"),
    [
        ("DJANGO_JOB", True),
        ("DJANGOJOBS", True),
        ("DJANGO_JOBS_WORKER", True),
        ("DJANGO_JOSB", True),
        ("DJNAGO_JOBS", True),
        ("JANGO_JOBS", True),
        ("TASKS", False),
        ("DJANGO_TASKS", False),
        ("DJANGO_LOGS", False),
        ("DJANGO_SETTINGS_MODULE", False),
        ("JOBS", False),
    ],
)
def test_the_name_of_a_setting_that_was_meant_to_be_ours_is_known(name, is_like):
    assert is_like_setting(name) is is_like


DURATIONS = [
    "ENQUEUE.IDEMPOTENCY_WINDOW",
    "WORKER.HEARTBEAT_INTERVAL",
    "WORKER.STALE_AFTER",
    "WORKER.POLL_INTERVAL",
    "WORKER.POLL_INTERVAL_WITHOUT_NOTIFY",
    "WORKER.PREFETCH_HORIZON",
    "WORKER.UNKNOWN_JOB_RETRY_DELAY",
    "WORKER.UNKNOWN_JOB_TTL",
    "WORKER.BATCH_ABANDONED_AFTER",
    "STATUS.POLL_INTERVAL",
    "ALERTS.MAIL_ADMINS_PERIOD",
]
DURATIONS_FROM_ZERO = ["WORKER.SHUTDOWN_GRACE", "WORKER.TIMEOUT_GRACE", "STATUS.MAX_WAIT"]
DURATIONS_OR_NONE = [
    "RETENTION.SUCCEEDED",
    "RETENTION.CANCELLED",
    "RETENTION.DEAD",
    "RETENTION.TICKS",
    "RETENTION.ONCE",
    "RETENTION.INBOX",
    "STATUS.URL_MAX_AGE",
    "RESULTS.TTL",
    "JOB_DEFAULTS.timeout",
    "QUEUES.mail.timeout",
]
COUNTS = [
    "ENQUEUE.MAX_PAYLOAD_BYTES",
    "RESULTS.MAX_BYTES",
    "WORKER.CLAIM_BATCH_SIZE",
    "WORKER.ASYNC_CONCURRENCY",
    "WORKER.MAX_WORKER_DEATHS",
]
COUNTS_FROM_ZERO = ["STATUS.MAX_WAITERS", "STATUS.MAX_WAITERS_WSGI"]
GROUPS = ["ENQUEUE", "WORKER", "RETENTION", "RESULTS", "LOGS", "STATUS", "ALERTS", "MAIL", "METRICS", "JOB_DEFAULTS"]
NO_DURATIONS = ["5", True, float("nan"), float("inf"), 1e300, timedelta.max, [5], -1]

BAD_VALUES = [
    *(("PROJECT", bad, "expected a name of 1 to") for bad in ("", "a\nb", "x" * 1_000, ("shop", ""), 5, None)),
    *(
        (path, bad, f"expected a timedelta or seconds, {bound}, at most 3650 days; got ")
        for paths, more, bound in (
            (DURATIONS, (0, timedelta(0), None), "above zero"),
            (DURATIONS_OR_NONE, (0, timedelta(0)), "above zero"),
            (DURATIONS_FROM_ZERO, (None,), "zero or more"),
        )
        for path in paths
        for bad in (*NO_DURATIONS, *more)
    ),
    *((path, bad, "expected a whole number of at least 1") for path in COUNTS for bad in (0, -1, 1.5, "5", True, None)),
    *(
        (path, bad, "expected a whole number of zero or more")
        for path in COUNTS_FROM_ZERO
        for bad in (-1, 1.5, "5", True, None)
    ),
    *(("LOGS.MAX_LINES", bad, "expected a whole number from 0 to 10000") for bad in ("5", True, -1, 10_001)),
    *(("LOGS.MAX_LINE_LENGTH", bad, "expected a whole number from 100") for bad in ("5", None, 99, 100_001)),
    *(
        (path, bad, "expected True or False")
        for path in ("WORKER.NOTIFY", "ALERTS.MAIL_ADMINS", "METRICS.PROMETHEUS")
        for bad in (1, "yes", None)
    ),
    *(
        (path, bad, "expected a tuple of names")
        for path in ("REDACT", "SCHEDULABLE")
        for bad in ("token", None, [5], [""], 7)
    ),
    *(
        ("ALERTS.BASE_URL", bad, "expected a scheme and host")
        for bad in (
            5,
            "",
            "shop.example",
            "ftp://shop.example",
            "https://shop.example/admin/",
            "https://a b",
            "https://",
        )
    ),
    *(("RESULTS.STORAGE", bad, "expected a name") for bad in (5, "", True)),
    ("RESULTS.STORAGE", "x" * 101, "expected an alias of up to 100 characters"),
    (
        "RESULTS.STORAGE",
        "attic",
        "expected None or an alias of STORAGES (broken, default, results, staticfiles)",
    ),
    *(
        ("STATUS.ACCESS_CHECK", bad, "expected a function of (request, job), its dotted path, or None")
        for bad in ("may_see", 5, True, [])
    ),
    *(
        ("WORKER.PROCESS_SETUP", bad, "expected a dotted path such as 'shop.setup.configure', or None")
        for bad in ("configure", "", ".a", "a b.c", 5, print)
    ),
    *(("WORKER.START_METHOD", bad, "expected 'fork', 'spawn' or None") for bad in ("forkserver", "", 5, [])),
    *(
        ("MAIL.BACKEND", bad, "expected the dotted path of a backend that sends")
        for bad in (None, "", 5, "smtp", "django_jobs.contrib.mail.EmailBackend")
    ),
    ("MAIL.QUEUE_NAME", "a,b", "expected 1 to 100 printable characters without commas"),
    ("MAIL.MAX_ATTEMPTS", 0, "expected a whole number from 1 to 10000"),
    *(("DATABASE", bad, "expected a name") for bad in ("", None, 5)),
    *(("PROJECT", bad, "expected a name of 1 to") for bad in ("", None, 5, [5], "a\nb", "x" * 1_000)),
    *(("NOTIFIER", bad, "expected a URL such as redis://") for bad in (5, True, [])),
    ("NOTIFIER", "http://host", "expected a URL that begins with redis:// or rediss://, got http:"),
    ("NOTIFIER", "redis://a,b", "expected a URL with one host, such as redis://"),
    *(("BROKERS", bad, "expected a dict of brokers by name") for bad in (None, [], "kafka://host")),
    *(
        ("RELEASE", bad, "expected the name of a release, 1 to 100 printable characters such as a Git SHA")
        for bad in (5, True, ["a"], "x" * 101, "a\nb", " a", "\x00")
    ),
    ("DATABASE", "elsewhere", "expected an alias of DATABASES (default), got 'elsewhere'"),
    *(("DATABASES", bad, "expected a list of aliases of DATABASES") for bad in ("default", None, [], 5)),
    ("DATABASES", ["default", "eu"], "[1]: expected an alias of DATABASES (default), got 'eu'"),
    ("DATABASES", ["default", "default"], "expected each alias once, got 'default' again"),
    ("CHOOSE_DATABASE", 5, "expected a dotted path"),
    ("SCHEDULES_DATABASE", "eu", "expected an alias of DATABASES (default), got 'eu'"),
    *((path, bad, "expected a dict") for path in [*GROUPS, "QUEUES"] for bad in (None, [], "x")),
    ("QUEUES", {"": {}}, "expected 1 to 100 printable characters without commas, got ''"),
    ("QUEUES", {5: {}}, "expected 1 to 100 printable characters without commas, got 5"),
    ("QUEUES.mail", 5, "expected a dict"),
    ("QUEUES.mail.priority", 101, "expected a whole number from -100 to 100"),
    ("JOB_DEFAULTS.queue_name", "a,b", "expected 1 to 100 printable characters without commas"),
    ("JOB_DEFAULTS.priority", "high", "expected a whole number from -100 to 100"),
    ("JOB_DEFAULTS.max_attempts", 0, "expected a whole number from 1 to 10000"),
    ("JOB_DEFAULTS.backoff", "slow", "['backoff']: expected Exponential, Linear"),
    ("HOOKS", "shop.hooks.Tenant", "expected a list of dotted paths such as 'shop.hooks.Tenant'; got "),
    ("HOOKS", [None], "['HOOKS'][0]: expected a dotted path such as 'shop.hooks.Tenant'; got None"),
    ("HOOKS", ["shop.Tenant", "shop.Tenant"], "expected dotted paths, each once; got "),
]


@pytest.mark.parametrize(("path", "bad", "expected"), BAD_VALUES)
def test_a_bad_value_is_refused_naming_the_key_what_was_expected_and_what_came(path, bad, expected):
    given = bad
    for key in reversed(path.split(".")):
        given = {key: given}

    with pytest.raises(ConfigurationError) as caught:
        read_settings(given)

    message = str(caught.value)
    assert message.startswith("DJANGO_JOBS" + "".join(f"[{key!r}]" for key in path.split(".")))
    assert expected in message
    assert "got " in message


@pytest.mark.parametrize("key", [None, 1, b"HOOKS", ""])
def test_a_key_that_is_no_name_gets_no_guess(key):
    with pytest.raises(ConfigurationError, match=r"unknown key .*; known are ALERTS, BROKERS, CHOOSE_DATABASE"):
        read_settings({key: {}})


def test_there_is_a_bad_value_for_every_setting():
    paths = set()
    for name, declaration in declarations(Settings).items():
        paths.add(name.upper())
        if spell := declaration.spell:
            group = type(getattr(Settings(), name))
            paths |= {f"{name.upper()}.{spell(key)}" for key in declarations(group)}

    assert paths <= {path for path, _, _ in BAD_VALUES}


@pytest.mark.parametrize("given", [None, [], "DATABASE"])
def test_a_setting_that_is_no_dict_is_refused(given):
    with pytest.raises(ConfigurationError, match=r"^DJANGO_JOBS: expected a dict, got "):
        read_settings(given)


def test_a_worker_may_miss_a_heartbeat_without_being_lost():
    with pytest.raises(
        ConfigurationError, match=r"\['WORKER'\]\['STALE_AFTER'\]: expected at least twice HEARTBEAT_INTERVAL"
    ):
        read_settings({"WORKER": {"HEARTBEAT_INTERVAL": 10, "STALE_AFTER": 19}})

    settings = read_settings({"WORKER": {"HEARTBEAT_INTERVAL": 10, "STALE_AFTER": 20}})
    assert settings.worker.stale_after == timedelta(seconds=20)


def test_a_log_may_not_be_larger_than_a_row_should_be():
    with pytest.raises(ConfigurationError, match=r"\['LOGS'\]\['MAX_LINES'\]: expected at most 1000000, times"):
        read_settings({"LOGS": {"MAX_LINES": 1_000, "MAX_LINE_LENGTH": 1_001}})

    settings = read_settings({"LOGS": {"MAX_LINES": 1_000, "MAX_LINE_LENGTH": 1_000}})
    assert settings.logs.max_lines == 1_000


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

    with override_settings(DJANGO_JOBS={"WORKER": {"CLAIM_BATCH_SIZE": 3}}):
        assert get_settings().worker.claim_batch_size == 3

    assert get_settings().worker.claim_batch_size == first.worker.claim_batch_size
