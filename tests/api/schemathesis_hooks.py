"""Loaded by schemathesis: what it needs to know of Agio."""

import os
from collections import Counter
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

_seen: Counter[str] = Counter()


@schemathesis.hook
def filter_case(ctx: schemathesis.HookContext, case: Any) -> bool:
    """Take each fourth of an operation's cases beyond the first 20; coverage makes 80, with the same parts in turn."""
    if os.environ.get("SCHEMATHESIS_EXAMPLES"):
        return True
    _seen[case.operation.label] += 1
    number = _seen[case.operation.label]
    return number <= 20 or number % 4 == 0


@schemathesis.check
def valid_data_is_refused_by_rules_only(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """As `positive_data_acceptance`, but a rule that no JSON Schema can say may refuse a request.

    Those answers are of the type `invalid` and name the field: there is no such provider, a cursor is not of this
    list, two fields exclude each other. What is of the type `validation_error` broke the schema, and is a finding.
    On the neighbours' wires a rule's refusal has a text as its `detail`, a broken schema's has a list.
    """
    try:
        positive_data_acceptance(ctx, response, case)
    except Failure:
        body = response.json() if "json" in str(response.headers.get("content-type")) else {}
        ours = body.get("type") == "invalid" and body.get("errors")
        theirs = "type" not in body and isinstance(body.get("detail"), str)
        if response.status_code not in (400, 422) or not (ours or theirs):
            raise


@schemathesis.check
def methods_that_are_not_there_are_refused(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """As `unsupported_method`, but for `/`: a browser's `GET /` is sent to the UI, which is no part of the API."""
    if case.operation.path != "/":
        unsupported_method(ctx, response, case)
