"""What a worker counts."""

import pytest

from shared.metrics_server import new_registry
from tests.telemetry.conftest import IdleWorker
from tests.telemetry.scraping import complaints, render, samples
from worker.accounts.states import AccountView, State
from worker.catalogue import Standing
from worker.faults import Fault
from worker.metrics import WorkerMetrics


def test_attempts_faults_and_retries_are_counted_by_provider() -> None:
    registry = new_registry()
    metrics = WorkerMetrics(registry)
    metrics.attempted("eu")
    metrics.attempted("eu")
    metrics.failed("eu", Fault.RATE_LIMITED)
    metrics.retried("eu", Fault.RATE_LIMITED)
    metrics.first_content("eu", 0.3)
    metrics.not_listed("us", Fault.TIMED_OUT)
    seen = samples(render(registry))
    fault = ("fault", "rate_limited")
    assert seen["penstock_upstream_attempts_total", (("provider", "eu"),)] == 2
    assert seen["penstock_upstream_errors_total", (fault, ("provider", "eu"))] == 1
    assert seen["penstock_retries_total", (fault, ("provider", "eu"))] == 1
    assert seen["penstock_upstream_time_to_first_content_seconds_sum", (("provider", "eu"),)] == 0.3
    assert seen["penstock_discovery_failures_total", (("fault", "timed_out"), ("provider", "us"))] == 1


def test_how_a_configuration_stands_is_one_of_all_possibilities() -> None:
    registry = new_registry()
    metrics = WorkerMetrics(registry)
    metrics.configured(1_700_000_000_000_000_000)
    metrics.reload_failed()
    metrics.stands(Standing.CURRENT)
    metrics.stands(Standing.CONFLICTING)
    seen = samples(render(registry))
    assert seen["penstock_configuration_loaded_timestamp_seconds", ()] == 1_700_000_000
    assert seen["penstock_configuration_reload_failures_total", ()] == 1
    assert {name: seen["penstock_configuration_standing", (("standing", name),)] for name in Standing} == {
        "current": 0,
        "outdated": 0,
        "conflicting": 1,
        "foreign": 0,
    }


async def test_a_workers_own_numbers_are_read_when_asked_for(idle_worker: IdleWorker) -> None:
    host = idle_worker.host
    host.lease.queued, host.lease.parked = 4, 2
    host.publisher.frames_sent = 9
    host.reaper.buried["worker"] = 1
    idle_worker.metrics.accounts = [AccountView("eu", "main", State.COOLING, "rate_limited", 0, 0, 3, None)]
    seen = samples(render(idle_worker.registry))
    assert seen["penstock_job_slots", ()] == 7
    assert seen["penstock_queue_depth", (("state", "queued"),)] == 4
    assert seen["penstock_queue_depth", (("state", "parked"),)] == 2
    assert seen["penstock_frames_sent_total", ()] == 9
    assert seen["penstock_processes_buried_total", (("kind", "worker"),)] == 1
    account = (("credential", "main"), ("provider", "eu"))
    assert seen["penstock_credential_requests_in_flight", account] == 3
    assert seen["penstock_credential_state", (*account, ("state", "cooling"))] == 1
    assert seen["penstock_credential_state", (*account, ("state", "ready"))] == 0


@pytest.mark.needs("promtool")
async def test_promtool_finds_nothing_to_complain_of(idle_worker: IdleWorker) -> None:
    idle_worker.metrics.attempted("eu")
    assert complaints(render(idle_worker.registry)) == ""
