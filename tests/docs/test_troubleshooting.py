"""The page on troubleshooting has each sentence that tells why a job is not running."""

from __future__ import annotations

import re

import pytest
from django.utils.translation import override

from django_jobs.policy.why_not_running import WaitReason
from django_jobs.reasons import REASON_TEXTS
from tests.databases import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
ITALICS = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", PAGE)
TOLD = [re.sub(r"(\\ )?\\\.\\\.\\\.(\\ )?", ".+", re.escape(sentence)) for sentence in ITALICS]
"""Regular expressions of the sentences in italics; three dots stand for anything."""


@pytest.mark.parametrize("reason", WaitReason)
def test_each_reason_why_a_job_waits_has_a_remedy(reason: WaitReason) -> None:
    with override("en"):
        text = re.sub(r"%\(\w+\)s", "x", str(REASON_TEXTS[reason]))
    assert any(re.match(sentence, text) for sentence in TOLD), text
