"""Options of ``manage.py jobs`` before and after the verb, and a database that cannot be used."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_jobs.management.commands.jobs import Command
from django_jobs.management.commands.runworker import Command as RunWorker
from django_jobs.policy.foreign_options import COMMAND_OPTIONS
from tests.more_databases import known
from tests.sampleapp import jobs as sample
from tests.trouble import Trouble

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = [
    ["status"], ["list"], ["show", "1"], ["retry", "--all"], ["cancel", "--all"], ["purge", "--all"],
    ["enqueue", sample.do_nothing.name], ["pause", "mail", "--create"], ["resume", "mail"],
    ["max-running", "mail", "3", "--create"], ["schedules"], ["tick"], ["prune"],
]  # fmt: skip


def _refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        call_command("jobs", *arguments)
    return str(refused.value)


def _run(*argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Run a command as the shell does; return the exit code and what it wrote to stderr."""
    with pytest.raises(SystemExit) as end:
        Command().run_from_argv(["manage.py", "jobs", *argv])
    return end.value.code, capsys.readouterr().err


def test_every_verb_says_in_one_sentence_that_the_database_cannot_be_reached(trouble: Trouble) -> None:
    trouble.unreachable()
    place = "jobs.sqlite3" if connection.vendor == "sqlite" else ":1"
    for arguments in (*VERBS, ["doctor"]):
        said = _refused(*arguments)
        assert said.startswith("the database 'default' ("), arguments
        assert f"{place}) cannot be used: " in said, arguments
        assert "\n" not in said, arguments


def test_every_verb_says_that_the_database_is_not_migrated(trouble: Trouble) -> None:
    trouble.unmigrated()
    for arguments in VERBS:
        said = _refused(*arguments)
        assert " lacks tables of django_jobs (" in said, arguments
        assert said.endswith("); run 'manage.py migrate'"), arguments
        assert "\n" not in said, arguments


def test_the_doctor_finds_that_itself(trouble: Trouble, capsys: pytest.CaptureFixture[str]) -> None:
    trouble.unmigrated()
    with pytest.raises(SystemExit, match="1"):
        call_command("jobs", "doctor")
    assert "not applied: django_jobs.0001_initial" in capsys.readouterr().out


def test_health_gives_the_same_sentence_as_its_reason(capsys: pytest.CaptureFixture[str], trouble: Trouble) -> None:
    trouble.unreachable()
    sentence = _refused("status")
    with pytest.raises(SystemExit, match="1"):
        call_command("jobs", "health")
    assert capsys.readouterr().out.strip() == sentence


def test_the_reason_is_the_servers(trouble: Trouble) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no server")
    trouble.begin(NAME="no_such_database")
    assert "no_such_database" in _refused("status").partition(" cannot be used: ")[2]
    trouble.begin(USER="nobody_here")
    assert "nobody_here" in _refused("status").partition(" cannot be used: ")[2]
    trouble.begin(HOST="no-such-host.invalid")
    assert "no-such-host.invalid" in _refused("status").partition(" cannot be used: ")[2]


def test_a_shell_gets_exit_code_1_and_a_traceback_if_it_asks_for_one(
    capsys: pytest.CaptureFixture[str], trouble: Trouble
) -> None:
    trouble.unreachable()
    code, said = _run("status", capsys=capsys)
    assert code == 1
    assert said.startswith("CommandError: the database 'default' (")
    assert said.count("\n") == 1
    with pytest.raises(CommandError, match="cannot be used"):
        Command().run_from_argv(["manage.py", "jobs", "status", "--traceback"])


def test_errors_that_the_data_cause_are_not_explained_away() -> None:
    with pytest.raises(CommandError, match="there is no job 7"):
        call_command("jobs", "show", "7")


@pytest.mark.parametrize(
    "argv",
    [
        ["status", "--settings", "x", "-v", "2", "--traceback", "--no-color", "--pythonpath", "p", "--skip-checks"],
        ["--settings", "x", "-v", "2", "--traceback", "--no-color", "--pythonpath", "p", "--skip-checks", "status"],
        ["--settings", "x", "-v2", "--traceback", "status", "--no-color", "--pythonpath=p", "--skip-checks"],
    ],
    ids=["after", "before", "around"],
)
def test_djangos_own_options_may_stand_before_and_after_the_verb(argv: list[str]) -> None:
    found = vars(Command().create_parser("manage.py", "jobs").parse_args(argv))
    expected = {"settings": "x", "verbosity": 2, "traceback": True, "no_color": True, "pythonpath": "p"}
    assert {key: found[key] for key in expected} == expected
    assert found["skip_checks"]
    assert found["verb"] == "status"


def test_djangos_own_options_have_their_defaults_if_not_given() -> None:
    found = vars(Command().create_parser("manage.py", "jobs").parse_args(["work"]))
    worker = vars(RunWorker().create_parser("manage.py", "runworker").parse_args([]))
    assert found == worker | {"verb": "work", "json": False}


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--limit", "3", "list"], "--limit belongs after the verb: manage.py jobs list --limit ..."),
        (["--json", "status"], "--json belongs after the verb: manage.py jobs status --json ..."),
        (["--concurrency=8", "work"], "--concurrency belongs after the verb: manage.py jobs work --concurrency ..."),
        (["status", "--limit", "3"], "'status' has no option --limit; it is one of 'list'"),
        (["--queues", "mail", "status"], "'status' has no option --queues; it is one of 'work'"),
        (["work", "--concurency", "8"], "'work' has no option --concurency; did you mean --concurrency?"),
        (["--limits", "3", "list"], "'list' has no option --limits; did you mean --limit?"),
        (["work", "--once"], "'work' has no option --once; did you mean --burst?"),
        (["status", "--once"], "'status' has no option --once; it is one of 'top'"),
        (["status", "--setings=x"], "'status' has no option --setings; did you mean --settings?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_in_the_wrong_place_is_explained(
    argv: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = _run(*argv, capsys=capsys)
    assert code == 2
    assert said.startswith("usage: manage.py jobs ")
    assert said.endswith(f"\nmanage.py jobs: error: {problem}\n")


@pytest.mark.parametrize("argv", [["status", "--nonsense"], ["--nonsense", "status"], ["--json"]], ids=" ".join)
def test_an_option_that_nobody_has_is_left_to_argparse(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said = _run(*argv, capsys=capsys)
    assert code == 2
    assert "belongs" not in said


def test_what_follows_two_dashes_and_negative_numbers_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    Command().run_from_argv(["manage.py", "jobs", "enqueue", "--priority", "-5", "--", sample.do_nothing.name])
    assert "is ready" in capsys.readouterr().out


def test_the_worker_tells_which_option_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, problem in {
        "-v 2 --proceses=3": "there is no option --proceses; did you mean --processes?",
        "--queue-names mail": "there is no option --queue-names; did you mean --queues?",
        "--threads 8": "there is no option --threads; did you mean --concurrency?",
        "-c 8": "there is no option -c; did you mean --concurrency?",
        "--workers=2": "there is no option --workers; did you mean --processes?",
        "--nonsense 3": "unrecognized arguments: --nonsense 3",
    }.items():
        with pytest.raises(SystemExit, match="2"):
            RunWorker().run_from_argv(["manage.py", "runworker", *argv.split()])
        assert capsys.readouterr().err.endswith(f"manage.py runworker: error: {problem}\n")


def test_every_option_of_another_library_stands_for_one_of_ours() -> None:
    parser = Command().create_parser("manage.py", "jobs")
    verbs = parser._subparsers._group_actions[0].choices
    ours = [set(verb._option_string_actions) for verb in verbs.values()]
    assert set(COMMAND_OPTIONS.values()) <= set().union(*ours)
    taken = {(theirs, own) for options in ours for theirs, own in COMMAND_OPTIONS.items() if {theirs, own} <= options}
    assert not taken, "a verb that takes both does not need the other library's word"


def test_a_queue_that_cannot_be_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        RunWorker().run_from_argv(["manage.py", "runworker", "--queues", "a,,b"])
    said = capsys.readouterr().err
    assert "error: argument --queues: expected 1 to 100 printable characters without commas, got ''" in said


@pytest.mark.parametrize("command", [("runworker",), ("jobs", "work")])
def test_a_logging_configuration_in_a_ready_method_does_not_silence_the_process_that_starts_workers(
    command: tuple[str, ...],
) -> None:
    """``dictConfig`` disables the loggers that are there, unless it is told not to."""
    logger = logging.getLogger("django_jobs.worker")
    logger.disabled = True
    try:
        with pytest.raises(CommandError, match="fires no schedules"):
            call_command(*command, "--burst", "--scheduler-only")
        assert not logger.disabled
    finally:
        logger.disabled = False


def test_it_is_the_named_one_of_several_databases_that_cannot_be_used(tmp_path: Path) -> None:
    with known({"eu": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "eu")}}):
        for arguments in (["list", "--database", "eu"], ["show", "eu:1"]):
            said = _refused(*arguments)
            assert said.startswith("the database 'eu' ("), said
            assert "run 'manage.py migrate --database eu'" in said
