"""What a front counts, and that no client can make it count without bounds."""

from dataclasses import replace
from pathlib import Path

import pytest

import api
import shared
from api.metrics import REASONS
from api.record import Outcome, RequestRecord
from shared.catalogue import Catalogue, ModelEntry
from tests.telemetry.conftest import Front
from tests.telemetry.scraping import complaints, family_names, render, samples

ROUTE = ("route", "gpt-4o")


def test_an_answered_request_is_counted_with_its_times_and_tokens(front: Front, record: RequestRecord) -> None:
    front.metrics.observe(record)
    front.metrics.observe(record)
    seen = samples(render(front.registry))
    labels = (("outcome", "completed"), ("provider", "openai-eu"), ROUTE, ("status", "200"))
    assert seen["penstock_requests_total", labels] == 2
    assert seen["penstock_request_duration_seconds_sum", (ROUTE,)] == 5.0
    assert seen["penstock_time_to_first_token_seconds_bucket", (("le", "0.5"), ROUTE)] == 2
    assert seen["penstock_time_to_first_token_seconds_bucket", (("le", "0.35"), ROUTE)] == 0
    assert seen["penstock_queue_wait_seconds_count", (ROUTE,)] == 2
    assert seen["penstock_tokens_total", (("provider", "openai-eu"), ROUTE, ("type", "input"))] == 22
    assert seen["penstock_tokens_total", (("provider", "openai-eu"), ROUTE, ("type", "output"))] == 14


def test_what_did_not_happen_is_not_observed(front: Front, record: RequestRecord) -> None:
    front.metrics.observe(replace(record, time_to_first_token_s=None, queue_wait_s=None, input_tokens=None))
    seen = samples(render(front.registry))
    assert seen["penstock_time_to_first_token_seconds_count", (ROUTE,)] == 0
    assert seen["penstock_queue_wait_seconds_count", (ROUTE,)] == 0


@pytest.mark.parametrize(
    ("model", "route"),
    [
        ("kimi-k2", "kimi-k2"),
        ("claude-sonnet-5", "claude-*"),
        ("sk-secret", "other"),
        ("", "other"),
        ("other", "other"),
    ],
)
def test_a_route_is_a_listed_model_or_a_pattern(front: Front, record: RequestRecord, model: str, route: str) -> None:
    front.metrics.observe(replace(record, model=model))
    assert ("penstock_request_duration_seconds_count", (("route", route),)) in samples(render(front.registry))


def test_names_that_clients_invent_make_no_series(front: Front, record: RequestRecord) -> None:
    front.metrics.observe(replace(record, model="x"))
    before = len(samples(render(front.registry)))
    for number in range(500):
        front.metrics.observe(replace(record, model=f"made-up-{number}"))
    assert len(samples(render(front.registry))) == before


def test_a_new_catalogue_brings_its_routes(front: Front, record: RequestRecord) -> None:
    front.adopt(Catalogue(2, models=(ModelEntry("new"),)))
    front.metrics.observe(replace(record, model="new"))
    assert ("penstock_request_duration_seconds_count", (("route", "new"),)) in samples(render(front.registry))


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("queue_full", 503, "queue_full"),
        ("invalid_api_key", 401, "invalid_api_key"),
        ("", 401, "missing_api_key"),
        ("array_above_max_length", 400, "invalid_request"),
        ("whatever-an-upstream-said", 418, "other"),
    ],
)
def test_refusals_are_counted_by_a_closed_set_of_reasons(
    front: Front, record: RequestRecord, code: str, status: int, reason: str
) -> None:
    front.metrics.observe(replace(record, outcome=Outcome.REFUSED, error_code=code, status=status))
    assert samples(render(front.registry))["penstock_refusals_total", (("reason", reason),)] == 1


def test_every_reason_is_one_that_the_code_gives() -> None:
    """A reason that nobody gives any more would be an alert that never fires."""
    folders = [Path(package.__path__[0]) for package in (api, shared)]
    sources = [path for folder in folders for path in folder.rglob("*.py") if path.name != "metrics.py"]
    code = "".join(path.read_text() for path in sources)
    assert {reason for reason in REASONS if f'"{reason}"' not in code} == set()


def test_the_relays_numbers_are_read_when_asked_for(front: Front) -> None:
    front.relay.counts.update(frames=5, gaps=2, replays=1)
    seen = samples(render(front.registry))
    assert seen["penstock_frames_received_total", ()] == 5
    assert seen["penstock_frame_gaps_total", ()] == 2
    assert seen["penstock_replays_requested_total", ()] == 1
    assert seen["penstock_redis_connected", ()] == 0
    assert seen["penstock_catalogue_loaded", ()] == 1
    assert seen["penstock_catalogue_models", ()] == 2


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_to_complain_of(front: Front, record: RequestRecord) -> None:
    front.metrics.observe(record)
    front.metrics.observe(replace(record, outcome=Outcome.REFUSED))
    text = render(front.registry)
    assert family_names(text)
    assert complaints(text) == ""
