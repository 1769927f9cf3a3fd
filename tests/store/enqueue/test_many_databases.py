"""Jobs in several databases: which one a new job goes into, and what stays within one."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.test import override_settings

from django_jobs import Batch, chain, enqueue, operations
from django_jobs.conf import get_settings
from django_jobs.conf.database import current_database, use_database
from django_jobs.exceptions import ConfigurationError
from django_jobs.management.commands.jobs import Command
from django_jobs.models import CronSchedule, Job
from django_jobs.testing import drain
from tests.factories import make_worker
from tests.more_databases import known, migrated_file
from tests.sampleapp.jobs import add, do_nothing, echo, tell_id

CHOOSER = f"{__name__}.by_region"


def by_region(name: str, arguments: Mapping[str, Any]) -> str | None:
    """Send what has a region there; leave the rest."""
    value = arguments.get("value")
    return value["region"] if isinstance(value, dict) else None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any) -> Path:
    with django_db_blocker.unblock():
        return migrated_file(tmp_path_factory.mktemp("databases") / "template.sqlite3")


@pytest.fixture
def _databases(template: Path, tmp_path: Path, transactional_db: None) -> Iterator[None]:
    entries = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(shutil.copy(template, tmp_path / alias))}
        for alias in ("eu", "us")
    }
    with known(entries, CHOOSE_DATABASE=CHOOSER):
        yield


pytestmark = pytest.mark.usefixtures("_databases")


def names(alias: str) -> list[str]:
    return sorted(Job.objects.using(alias).values_list("name", flat=True))


def test_without_a_word_it_is_the_first() -> None:
    enqueued = do_nothing.enqueue()

    assert enqueued._state.db == "default"
    assert [len(names(alias)) for alias in ("default", "eu", "us")] == [1, 0, 0]


def test_using_names_one() -> None:
    enqueued = do_nothing.using(database="eu").enqueue()

    assert Job.objects.using("eu").get() == enqueued
    assert [len(names(alias)) for alias in ("default", "eu", "us")] == [0, 1, 0]
    assert asyncio.run(do_nothing.using(database="us").aenqueue())._state.db == "us"


def test_one_that_holds_no_jobs_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"using\(database\): expected an alias of .*\(default, eu, us\), got 'asia'"
    ):
        do_nothing.using(database="asia")


def test_the_function_of_the_setting_chooses_by_the_arguments() -> None:
    assert echo.enqueue({"region": "us"})._state.db == "us"
    assert enqueue("tests.sampleapp.jobs.echo", {"region": "eu"})._state.db == "eu"
    assert echo.using(database="us").enqueue({"region": "eu"})._state.db == "us"


def test_its_wrong_answer_is_an_error_of_the_enqueue() -> None:
    with pytest.raises(ConfigurationError, match=r"CHOOSE_DATABASE.*by_region\('.*echo', \.\.\.\): expected .* 'asia'"):
        echo.enqueue({"region": "asia"})


def test_many_go_each_to_its_own_in_the_order_that_was_given() -> None:
    regions = ["eu", "us", "eu", "default", "us"]

    jobs = echo.enqueue_many([({"region": region},) for region in regions])

    assert [enqueued._state.db for enqueued in jobs] == regions
    assert [enqueued.arguments["value"]["region"] for enqueued in jobs] == regions
    assert [len(names(alias)) for alias in ("default", "eu", "us")] == [1, 2, 2]


def test_a_stream_is_distributed_too() -> None:
    count = echo.enqueue_stream(({"region": "eu" if number % 3 else "us"},) for number in range(30))

    assert count == 30
    assert [len(names(alias)) for alias in ("default", "eu", "us")] == [0, 20, 10]


def test_an_error_leaves_none_of_many_in_any() -> None:
    big = {"region": "us", "text": "x" * get_settings().enqueue.max_payload_bytes}

    with pytest.raises(Exception, match="MAX_PAYLOAD_BYTES"):
        echo.enqueue_many([({"region": "eu"},), (big,)])
    with pytest.raises(Exception, match="MAX_PAYLOAD_BYTES"):
        echo.enqueue_stream([({"region": "eu"},), (big,)])
    assert [len(names(alias)) for alias in ("default", "eu", "us")] == [0, 0, 0]


def test_the_transaction_at_hand_says_where_if_it_is_the_only_one() -> None:
    with transaction.atomic(using="eu"):
        assert do_nothing.enqueue()._state.db == "eu"
        with transaction.atomic(using="us"):
            assert do_nothing.enqueue()._state.db == "default"
        transaction.set_rollback(True, using="eu")
    assert names("eu") == []


def test_the_running_jobs_database_comes_before_the_first() -> None:
    with use_database("us"):
        assert current_database() == "us"
        assert do_nothing.enqueue()._state.db == "us"
        assert Job.objects.count() == 1
    assert Job.objects.count() == 0


def test_a_key_counts_in_each_database_for_itself() -> None:
    keyed = do_nothing.using(idempotency_key="order-7")
    first = keyed.using(database="eu").enqueue()

    assert keyed.using(database="eu").enqueue() == first
    assert not keyed.using(database="us").enqueue().is_duplicate
    assert [len(names(alias)) for alias in ("default", "eu", "us")] == [0, 1, 1]


def test_what_relates_to_a_job_is_in_its_database() -> None:
    here, there = (do_nothing.using(database=alias).enqueue() for alias in ("eu", "us"))
    assert here.pk == there.pk

    assert there.cancel().cancelled == 1
    here.refresh_from_db()
    there.refresh_from_db()
    assert (here.state, there.state) == ("ready", "cancelled")
    assert operations.cancel(here).cancelled == 1
    assert operations.purge(Job.objects.using("us").all()) == 1
    assert [len(names(alias)) for alias in ("eu", "us")] == [1, 0]


def test_a_job_waits_for_one_of_its_own_database() -> None:
    first = do_nothing.using(database="eu").enqueue()

    assert do_nothing.after(first).enqueue()._state.db == "eu"
    with pytest.raises(ConfigurationError, match=r"expected one database .*'eu' \(the jobs of after.*'us' \(using"):
        do_nothing.using(database="us").after(first).enqueue()
    with pytest.raises(ConfigurationError, match="got some of 'eu' and of 'us'"):
        do_nothing.after(first, do_nothing.using(database="us").enqueue())


def test_a_graph_is_in_one_database() -> None:
    jobs = chain(add.using(database="us").s(1, 2), add.s(3)).enqueue()

    assert {enqueued._state.db for enqueued in jobs} == {"us"}
    with pytest.raises(ConfigurationError, match=r"a graph: expected one database .*'us' .* and 'eu'"):
        chain(add.using(database="us").s(1, 2), add.using(database="eu").s(3)).enqueue()
    with pytest.raises(ConfigurationError, match=r"a graph: expected one database .*'eu' .*by_region.* and 'us'"):
        chain(echo.s({"region": "eu"}), echo.s({"region": "us"}).without_result()).enqueue()


def test_a_batch_is_in_one_database() -> None:
    with Batch(database="eu", on_success=do_nothing.s()) as batch:
        assert do_nothing.enqueue()._state.db == "eu"
        assert echo.enqueue({"region": "eu"})._state.db == "eu"
        with pytest.raises(ConfigurationError, match=r"expected one database .*'eu' \(batch \d+\) and 'us'"):
            echo.enqueue({"region": "us"})
        with pytest.raises(ConfigurationError, match="expected 'eu', the database of the batch around it, got 'us'"):
            Batch(database="us").__enter__()

    assert batch.row._state.db == "eu"
    assert batch.jobs.count() == 2
    assert batch.progress().waiting == 2
    assert batch.cancel().cancelled == 2
    with pytest.raises(ConfigurationError, match="expected a job of the batch's database, 'eu', got one of 'us'"):
        Batch(database="eu", on_success=do_nothing.using(database="us").s())


def test_schedules_are_in_the_one_that_is_named() -> None:
    assert CronSchedule.objects.all().db == "default"
    jobs = {"DATABASES": ["default", "eu", "us"], "SCHEDULES_DATABASE": "us"}
    with override_settings(DJANGO_JOBS=jobs):
        assert CronSchedule.objects.all().db == "us"


def test_one_database_under_two_names_and_a_router_that_keeps_the_tables_out_are_errors() -> None:
    connections.settings["us"]["NAME"] = connections.settings["eu"]["NAME"]
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.NotInUs"]):
        found = [message.msg for message in checks.run_checks() if message.id == "django_jobs.E009"]

    assert found == [
        "DJANGO_JOBS['DATABASES']: expected different databases, got one as 'eu' and as 'us'.",
        (
            "DJANGO_JOBS['DATABASES']: 'us' takes no tables of django_jobs: allow_migrate of a router in"
            " DATABASE_ROUTERS returns False; return True, or None, for the app 'django_jobs' there."
        ),
    ]


class NotInUs:
    """A router of a project that keeps its shards small."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == "us" else None


def test_a_function_that_cannot_be_imported_is_an_error() -> None:
    jobs = {"DATABASES": ["default", "eu", "us"], "CHOOSE_DATABASE": "tests.nowhere.choose"}
    with override_settings(DJANGO_JOBS=jobs):
        found = [message.msg for message in checks.run_checks() if message.id == "django_jobs.E009"]

    assert found == [
        (
            "DJANGO_JOBS['CHOOSE_DATABASE']: expected the dotted path of a function, got 'tests.nowhere.choose': No"
            " module named 'tests.nowhere'"
        )
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"DATABASE": "eu", "DATABASES": ["eu"]}, "expected DATABASE, or DATABASES if jobs are in several, got both"),
        ({"CHOOSE_DATABASE": CHOOSER}, "expected DATABASES beside it, to choose from"),
        (
            {"DATABASES": ["eu", "us"], "SCHEDULES_DATABASE": "default"},
            r"expected one of DATABASES \(eu, us\), got 'default'",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], message: str) -> None:
    with override_settings(DJANGO_JOBS=given), pytest.raises(ConfigurationError, match=message):
        get_settings()


def test_records_and_texts_name_the_job_with_its_database(caplog: pytest.LogCaptureFixture) -> None:
    enqueued = do_nothing.using(database="us").enqueue()
    with use_database("us"), caplog.at_level("DEBUG", "django_jobs"):
        drained = drain()

    assert drained.succeeded == 1
    (record,) = [record for record in caplog.records if "succeeded" in record.getMessage()]
    assert record.getMessage().startswith(f"job us:{enqueued.pk} ({do_nothing.name})")
    assert (record.__dict__["job_id"], record.__dict__["database"]) == (enqueued.pk, "us")
    assert str(enqueued.refresh()) == f"{do_nothing.name} #us:{enqueued.pk} (succeeded)"
    with override_settings(DJANGO_JOBS={}):
        assert enqueued.public_id == enqueued.pk


def test_a_running_job_knows_its_public_id() -> None:
    enqueued = tell_id.using(database="us").enqueue()
    with use_database("us"):
        drain()

    assert enqueued.refresh().result == [f"us:{enqueued.pk}", enqueued.pk]


class TestInAShell:
    def test_a_dead_network_is_noticed_in_each_of_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        servers = {alias: {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"} for alias in ("asia", "africa")}
        with known(servers):
            with pytest.raises(SystemExit):
                Command().run_from_argv(["manage.py", "jobs", "status", "--help"])
            options = [connections[alias].settings_dict["OPTIONS"] for alias in servers]

        assert [given["connect_timeout"] for given in options] == [10, 10]

    def test_verbs_act_on_the_database_that_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        do_nothing.using(database="us").enqueue()

        call_command("jobs", "enqueue", do_nothing.name, "--database", "eu")
        call_command("jobs", "status", "--database", "us", "--json")
        assert '"ready": 1' in capsys.readouterr().out
        call_command("jobs", "cancel", "--all", "--database", "us")
        assert list(Job.objects.using("us").values_list("state", flat=True)) == ["cancelled"]
        assert list(Job.objects.using("eu").values_list("state", flat=True)) == ["ready"]
        assert names("default") == []

    def test_health_is_of_all_and_fails_if_none_is_served(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            call_command("jobs", "health")
        assert capsys.readouterr().out.count("No workers") == 1, "the reason of all is said once"
        with use_database("us"):
            make_worker()
        with override_settings(DJANGO_JOBS={"DATABASES": ["default", "us", "lost"]}):
            connections.settings["lost"] = {**connections.settings["us"], "NAME": "/nowhere/lost.sqlite3"}
            call_command("jobs", "health")
            shown = capsys.readouterr().out
            call_command("jobs", "health", "--json")
            row = json.loads(capsys.readouterr().out)
            del connections.settings["lost"]

        assert "degraded: database 'default': " in shown
        assert "degraded: database 'lost': the database" in shown
        assert (row["ok"], row["reasons"], len(row["degraded"])) == (True, [], 2)
        call_command("jobs", "health", "--database", "us", "--json")
        assert json.loads(capsys.readouterr().out) == {"ok": True, "reasons": []}
        with pytest.raises(SystemExit):
            call_command("jobs", "health", "--database", "eu")

    def test_ids_that_are_printed_name_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        number = do_nothing.using(database="us").enqueue().pk

        for verb in (["list", "--database", "us"], ["show", f"us:{number}"], ["show", str(number), "--database", "us"]):
            call_command("jobs", *verb)
            assert f"us:{number}" in capsys.readouterr().out
            call_command("jobs", *verb, "--json")
            assert f'"id": "us:{number}"' in capsys.readouterr().out
        with pytest.raises(CommandError, match="there is no job eu:4711"):
            call_command("jobs", "show", "eu:4711")

    def test_an_id_may_name_the_database(self, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = (echo.using(database="eu").enqueue(value) for value in ("seen", "other"))
        echo.using(database="us").enqueue("unseen")

        call_command("jobs", "show", f"eu:{first.pk}")
        shown = capsys.readouterr().out
        assert "seen" in shown
        assert "unseen" not in shown
        call_command("jobs", "cancel", f"eu:{first.pk}", f"eu:{second.pk}")
        assert set(Job.objects.using("eu").values_list("state", flat=True)) == {"cancelled"}
        assert set(Job.objects.using("us").values_list("state", flat=True)) == {"ready"}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["cancel", "eu:1", "us:1"], "expected jobs of one database, got 'eu' and 'us'"),
            (["show", "eu:1", "--database", "us"], "expected jobs of one database, got 'eu' and 'us'"),
            (["show", "asia:1"], "expected the id of a job, such as us:4711,"),
            (["show", "7"], "expected the database of 7 too, .*: --database, or one of default:7, eu:7, us:7"),
            (["cancel", "7", "8"], "expected the database of 7 too"),
            (["kill-worker", "7"], "expected the database of 7 too"),
            (["stop-worker", "us:7"], "expected the id of a living worker, got 7"),
            (["status", "--database", "asia"], r"expected an alias of .*\(default, eu, us\), got 'asia'"),
            (["status", "--database", "eu,us"], "expected one alias, got 'eu,us'"),
        ],
    )
    def test_two_or_an_unknown_one_are_refused(self, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            call_command("jobs", *arguments)
