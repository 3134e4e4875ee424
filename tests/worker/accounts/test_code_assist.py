"""What follows a Google sign-in, without a network."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from worker.accounts.code_assist import find_project
from worker.accounts.oauth import Wait
from worker.faults import Fault, UpstreamError
from worker.providers.contract import Ask, UpstreamResponse

BASE = "https://code.test/v1internal"


def walk(replies: list[Any], project: str = "") -> tuple[list[Any], str]:
    """What is asked (method or operation, and body) when the service replies like this, and the project found."""
    steps: Generator[Any, Any, str] = find_project(BASE, "token", project)
    asked: list[Any] = []
    left = iter(replies)
    reply = None
    try:
        while True:
            step = steps.send(reply)
            if isinstance(step, Wait):
                asked.append(step.seconds)
                reply = None
                continue
            assert isinstance(step, Ask)
            assert ("authorization", "Bearer token") in step.request.headers
            body = json.loads(step.request.body) if step.request.body else None
            asked.append((step.request.method, step.request.url.removeprefix(BASE), body))
            status, data = next(left)
            reply = UpstreamResponse(status, {}, data if isinstance(data, bytes) else json.dumps(data).encode())
    except StopIteration as end:
        return asked, str(end.value)


METADATA = {"ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI"}


def test_a_known_account_tells_its_project() -> None:
    """One call suffices; the operator's own project counts where the service names none."""
    known = {"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "theirs"}
    assert walk([(200, known)]) == ([("POST", ":loadCodeAssist", {"metadata": METADATA})], "theirs")
    asked, found = walk([(200, {"currentTier": {"id": "standard-tier"}})], "mine")
    assert found == "mine"
    assert asked[0][2] == {"cloudaicompanionProject": "mine", "metadata": {**METADATA, "duetProject": "mine"}}


def test_a_new_account_is_made_known() -> None:
    """The default tier is taken, and the long-running operation polled; the free tier must name no project."""
    tiers = {"allowedTiers": [{"id": "standard-tier"}, {"id": "free-tier", "isDefault": True}]}
    done = {"done": True, "response": {"cloudaicompanionProject": {"id": "made"}}}
    asked, found = walk([(200, tiers), (200, {"name": "operations/1"}), (200, done)], "mine")
    assert found == "made"
    assert asked[1] == (
        "POST",
        ":onboardUser",
        {"tierId": "free-tier", "metadata": METADATA},
    )
    assert asked[2:] == [5.0, ("GET", "/operations/1", None)]


def test_an_account_behind_service_controls_is_licensed() -> None:
    """Their refusal of the first call says no more than that."""
    refused = {"error": {"details": [{"reason": "SECURITY_POLICY_VIOLATED"}]}}
    assert walk([(403, refused)], "mine")[1] == "mine"


@pytest.mark.parametrize(
    ("replies", "fault", "says"),
    [
        (
            [(200, {"currentTier": {"id": "x"}, "ineligibleTiers": [{"reasonCode": "UNSUPPORTED_CLIENT"}]})],
            Fault.DISCONTINUED,
            "API key",
        ),
        ([(200, {"currentTier": {"id": "x"}})], Fault.PERMISSION_DENIED, "project_id"),
        ([(200, {"currentTier": {"id": "x"}, "ineligibleTiers": [{"reasonMessage": "Too young."}]})],
         Fault.PERMISSION_DENIED, "Too young"),
        ([(200, {}), (200, {"done": True})], Fault.PERMISSION_DENIED, "project_id"),
        ([(500, b"<html>")], Fault.UPSTREAM_FAULT, "500"),
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_used_says_why(replies: list[Any], fault: Fault, says: str) -> None:
    """In Google's words where it gives any."""
    with pytest.raises(UpstreamError, match=says) as caught:
        walk(replies)
    assert caught.value.fault is fault
