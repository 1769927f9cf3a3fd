"""The OpenAPI document: valid, and about the jobs that a token allows and no others."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from openapi_spec_validator import validate

from django_jobs import registry
from django_jobs.arguments.json_schema import DECIMAL_PATTERN, KEY_PATTERN
from django_jobs.web.problem_kinds import ProblemKind
from django_jobs.web.tokens import create_token
from tests.databases import ROOT
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def _document(*job_names: str) -> Any:
    headers = {}
    if job_names:
        headers["authorization"] = f"Bearer {create_token('billing', job_names=job_names)[1]}"
    return Client().get("/jobs/openapi.json", headers=headers).json()


def test_the_document_is_valid_without_a_token() -> None:
    validate(_document())


def test_the_document_is_valid_with_every_registered_job() -> None:
    names = [definition.name for definition in registry.all_definitions()]
    document = _document(*names)
    validate(document)
    assert len([path for path in document["paths"] if path.startswith("/enqueue/")]) == len(names)


def test_without_a_token_no_job_is_named() -> None:
    text = str(_document())
    assert not [job.name for job in registry.all_definitions() if f"/{job.name}/" in text]
    assert "/enqueue/{name}/" in text


def test_the_document_has_the_registered_jobs_that_the_token_allows() -> None:
    paths = _document(sample.add.name, "gone.job")["paths"]
    assert [path for path in paths if path.startswith("/enqueue/")] == [f"/enqueue/{sample.add.name}/"]


def test_arguments_have_the_schema_of_the_signature() -> None:
    paths = _document(sample.record.name)["paths"]
    operation = paths[f"/enqueue/{sample.record.name}/"]["post"]
    assert operation["summary"] == "Take an argument of each kind."
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "type": "object",
        "properties": {
            "user": {"type": "integer"},
            "at": {"type": "string", "format": "date-time"},
            "amount": {
                "type": ["number", "string"],
                "pattern": DECIMAL_PATTERN,
                "description": "Exact as a string.",
            },
            "*": {"type": "array", "items": {"type": "string"}},
            "kind": {"enum": ["sale", "refund"], "default": "sale"},
            "reference": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}], "default": None},
            "until": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
            "is_paid": {"type": "boolean", "default": False},
            "api_token": {"type": "string"},
        },
        "required": ["user", "at", "amount"],
        "additionalProperties": {"type": "number"},
        "propertyNames": {"pattern": KEY_PATTERN},
    }


def test_a_wrong_token_is_refused() -> None:
    response = Client().get("/jobs/openapi.json", headers={"authorization": "Bearer nonsense"})
    assert response.status_code == 401


def test_every_problem_is_in_the_document_and_in_the_reference() -> None:
    document, reference = str(_document()), (ROOT / "docs" / "reference" / "web.md").read_text()
    for kind in ProblemKind:
        assert f"(`{kind.slug}`)" in document, kind
        assert f"`{kind.slug}`" in reference, kind
