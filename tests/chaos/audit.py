"""Audit: compare what was enqueued and begun with what the database says became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTED = {"succeeded", "failed", "timed_out", "retried", "discarded"}
"""Outcomes of tries that use one up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What is known of one job. ``tries`` are ``(claim_number, outcome)``, ``begun`` how often it said that it began.

    ``effects`` is how many rows it left where it must leave one, None where it leaves none.
    """

    name: str
    state: str
    max_attempts: int
    tries: Sequence[tuple[int, str]]
    begun: int
    effects: int | None = None


def audit(
    committed: Sequence[int],
    records: Mapping[int, JobRecord],
    *,
    expected: Mapping[str, str],
    rolled_back: int,
    crashed: bool = False,
) -> list[str]:
    """Return what is wrong; nothing is where every promise was kept.

    ``committed`` are the ids whose enqueue was committed, ``rolled_back`` how many jobs are there whose
    enqueue was not. ``crashed``: the server was, and may have forgotten the newest claims, whose runs then
    have no try of their own.
    """
    findings = [f"job {job_id} is lost" for job_id in committed if job_id not in records]
    if rolled_back:
        findings.append(f"{rolled_back} jobs are there whose enqueue was rolled back")
    for job_id, record in records.items():
        findings += [f"job {job_id} ({record.name}): {wrong}" for wrong in _examine(record, expected, crashed)]
    return findings


def _examine(record: JobRecord, expected: Mapping[str, str], crashed: bool) -> list[str]:
    outcomes = Counter(outcome for _, outcome in record.tries)
    numbers = Counter(number for number, _ in record.tries)
    counted = sum(outcomes[one] for one in COUNTED)
    checks = [
        (record.state != expected[record.name], f"is {record.state}, expected {expected[record.name]}"),
        (
            record.begun > len(record.tries) and not crashed,
            f"began {record.begun} times and has {len(record.tries)} tries",
        ),
        (max(numbers.values(), default=0) > 1, f"finished one claim twice: {sorted(record.tries)}"),
        (outcomes["succeeded"] > 1, f"succeeded {outcomes['succeeded']} times"),
        (record.state == "succeeded" and not outcomes["succeeded"], "succeeded without a try that did"),
        (counted > record.max_attempts, f"used up {counted} of {record.max_attempts} tries"),
        (record.effects not in {None, 1}, f"left {record.effects} effects, expected exactly 1"),
    ]
    return [finding for wrong, finding in checks if wrong]
