"""The sentences on what came with a deploy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.management.rows import sentence_text
from django_jobs.policy.deploy_sentences import describe_changes
from django_jobs.policy.deploys import FailureChange, NewError, RunCounts
from django_jobs.policy.health_sentence import Page, Sentence, Severity, Share
from django_jobs.policy.service_facts import ServiceFacts
from django_jobs.policy.service_health import describe_health

AT = datetime(2026, 11, 30, 14, 2, tzinfo=UTC)
WORSE = FailureChange("sync_customer", RunCounts(1_000, 4), RunCounts(1_000, 61))
BETTER = FailureChange("send_mail", RunCounts(1_000, 500), RunCounts(1_000, 0))


def described(changes: list[FailureChange], errors: list[tuple[str, str]] = []) -> list[Sentence]:  # noqa: B006
    return describe_changes("4f2c1a7" + "0" * 33, AT, changes, [NewError(*error) for error in errors])


def texts(sentences: list[Sentence]) -> list[str]:
    return [sentence_text(sentence).replace("\N{NO-BREAK SPACE}", " ") for sentence in sentences]


def test_one_sentence_says_what_came_with_it() -> None:
    (sentence,) = described([WORSE], [("sync_customer", "builtins.KeyError"), ("sync_customer", "KeyError")])
    assert texts([sentence]) == [
        "Since 4f2c1a7 at 2026-11-30 14:02 UTC sync_customer fails 6.1 % instead of 0.4 %; KeyError is new."
    ]
    assert (sentence.severity, sentence.page) == (Severity.WARNING, Page.DEAD_LETTERS)
    assert sentence.query == {"job_name": "sync_customer"}


def test_jobs_that_fail_more_come_first_then_new_errors_then_what_is_better() -> None:
    errors = [("report", f"shop.E{at}") for at in range(5)]
    sentences = described([WORSE, BETTER], errors)
    assert texts(sentences) == [
        "Since 4f2c1a7 at 2026-11-30 14:02 UTC sync_customer fails 6.1 % instead of 0.4 %.",
        "Since 4f2c1a7 at 2026-11-30 14:02 UTC E0, E1, E2 … of report are new.",
        "Since 4f2c1a7 at 2026-11-30 14:02 UTC send_mail fails 0 % instead of 50 %.",
    ]
    assert [sentence.severity for sentence in sentences] == [Severity.WARNING, Severity.WARNING, Severity.FINE]
    assert (sentences[0].page, sentences[0].query) == (Page.JOBS, {"name": "sync_customer"})


def test_a_new_error_is_a_warning_although_the_job_fails_less() -> None:
    (sentence,) = described([BETTER], [("send_mail", "shop.Refused"), ("send_mail", "shop.Late")])
    assert texts([sentence])[0].endswith("fails 0 % instead of 50 %; Refused, Late are new.")
    assert sentence.severity is Severity.WARNING


def test_there_are_five_sentences_at_most() -> None:
    assert len(described([], [(f"job {at}", "shop.E") for at in range(20)])) == 5


@pytest.mark.parametrize(
    ("share", "text"), [(0.061, "6.1 %"), (0.0, "0 %"), (1.0, "100 %"), (0.0004, "<0.1 %"), (0.9996, "100 %")]
)
def test_shares_are_per_cent(share: float, text: str) -> None:
    assert Share(share).text("{:g}".format) == text.replace(" ", "\N{NO-BREAK SPACE}")


def test_all_is_well_is_not_said_beside_what_became_worse() -> None:
    facts = ServiceFacts(served=[None])
    worse, better = described([WORSE]), described([BETTER])
    assert [one.key for one in describe_health(facts, since_deploy=worse)] == ["fails_more_since_deploy"]
    assert [one.key for one in describe_health(facts, since_deploy=better)] == ["well", "fails_less_since_deploy"]
    alone = ServiceFacts(served=[], died_recently=1)
    keys = [one.key for one in describe_health(alone, since_deploy=worse)]
    assert keys == ["no_worker", "fails_more_since_deploy", "new_dead_letters"], "what is not done comes first"


def test_instants_are_written_as_the_reader_wants_them() -> None:
    (sentence,) = described([WORSE])
    text = sentence.render(
        translate=lambda text: text.singular,
        format_duration=lambda duration: str(duration / timedelta(seconds=1)),
        format_instant="{:%H.%M}".format,
        format_number=lambda number: f"{number}".replace(".", ","),
    )
    assert "Since 4f2c1a7 at 14.02 sync_customer fails 6,1" in text
