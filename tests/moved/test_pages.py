"""The right columns of the pages' tables name options that exist."""

from __future__ import annotations

import re

import pytest
from django.core.management import load_command_class

from django_jobs.options import JobKeywords, ScheduleOptions, UsingOptions
from tests.databases import ROOT

pytestmark = pytest.mark.one_version
PAGES = [ROOT / "docs" / "how-to" / name for name in ("django-q2.md", "rq.md")]
OPTIONS = {
    "@job": {*JobKeywords.__annotations__, "takes_context", "chunk"},
    "using": {*UsingOptions.__annotations__},
    "schedule": {*ScheduleOptions.__annotations__, "args"},
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_of_the_tables_exist(page) -> None:
    parser = load_command_class("django_jobs", "runworker").create_parser("manage.py", "runworker")
    switches = {option for action in parser._actions for option in action.option_strings}
    rows = re.findall(r"^\| .+ \| (.+) \|$", page.read_text(), re.MULTILINE)
    assert len(rows) > 20

    for call, known in OPTIONS.items():
        given = [text for row in rows for text in re.findall(rf"{call}\(([^`]*)\)", row)]
        named = {name for text in given for name in re.findall(r"(?:^|, )(\w+)=(?!=)", text)}
        assert named
        assert named <= known, call
    assert {text for row in rows for text in re.findall(r"(?<![-\w])--[a-z-]+", row)} <= switches
