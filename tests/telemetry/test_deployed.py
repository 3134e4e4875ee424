"""Dashboard, alerts and scrape configuration fit what the processes really show."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.metrics_server import FRONT_PORT, WORKER_PORT
from tests.telemetry.conftest import Front, IdleWorker
from tests.telemetry.scraping import sample_names

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards/penstock.json").read_bytes())
ALERTS: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_bytes())
_OURS = re.compile(r"\bpenstock_[a-z_]+")


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> Iterator[str]:
    """Every PromQL expression of dashboard and alerts."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (variable["definition"] for variable in DASHBOARD["templating"]["list"] if "definition" in variable)
    yield from (annotation["expr"] for annotation in DASHBOARD["annotations"]["list"])
    yield from alert_expressions()


def alert_expressions() -> Iterator[str]:
    yield from (rule["expr"] for group in ALERTS["groups"] for rule in group["rules"])


@pytest.fixture
def existing(front: Front, idle_worker: IdleWorker) -> set[str]:
    """The names that fronts and workers can show."""
    return sample_names(idle_worker.registry) | sample_names(front.registry)


async def test_every_metric_in_dashboard_and_alerts_exists(existing: set[str]) -> None:
    used = {name for expression in expressions() for name in _OURS.findall(expression)}
    assert used
    assert used - existing == set()


async def test_every_metric_is_on_the_dashboard(existing: set[str]) -> None:
    """What nobody can see need not be counted."""
    shown = {name for expression in expressions() for name in _OURS.findall(expression)}
    hidden = {name.removesuffix("_sum").removesuffix("_count").removesuffix("_bucket") for name in existing - shown}
    assert hidden - {name.removesuffix("_bucket") for name in shown} == set()


@pytest.mark.needs("promtool")
def test_prometheus_accepts_its_configuration_and_the_alert_rules() -> None:
    promtool("check", "config", "deploy/prometheus/prometheus.yml")
    promtool("check", "rules", "deploy/prometheus/alerts.yml")


@pytest.mark.needs("promtool")
def test_alerts_fire_when_they_should_and_not_before() -> None:
    promtool("test", "rules", "tests/telemetry/alerts.test.yml")


@pytest.mark.needs("promtool")
def test_every_expression_is_valid_promql(tmp_path: Path) -> None:
    """Grafana checks a dashboard's expressions only when somebody looks at it."""
    rules = [
        {"record": f"dashboard:expression{number}", "expr": _without_variables(expression)}
        for number, expression in enumerate(expressions())
        if not expression.startswith("label_values(")
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(path))


def _without_variables(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$route", ".*").replace("$provider", ".*")


def test_prometheus_scrapes_the_ports_that_processes_serve() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_bytes())
    ports = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in config["scrape_configs"]}
    assert ports == {"penstock-api": FRONT_PORT, "penstock-worker": WORKER_PORT}
    jobs = {match for expression in expressions() for match in re.findall(r'job="([^"]+)"', expression)}
    assert jobs == set(ports)


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert rule["annotations"]["summary"]
            assert len(rule["annotations"]["description"]) > 40


def test_the_dashboard_uses_the_provisioned_data_source() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_bytes())["datasources"]
    chosen = DASHBOARD["templating"]["list"][0]
    assert chosen["type"] == "datasource"
    assert [chosen["current"]["value"]] == [source["uid"] for source in sources]
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in DASHBOARD["panels"] if "targets" in panel)


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
