"""Metrics of processes as Prometheus sees them."""

import subprocess
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def render(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def samples(text: str) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, sorted labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def family_names(text: str) -> set[str]:
    """All sample names that begin with our prefix."""
    return {name for name, _ in samples(text) if name.startswith("penstock_")}


def complaints(text: str) -> str:
    """What `promtool check metrics` finds wrong; empty when nothing."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}")


_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def sample_names(registry: CollectorRegistry) -> set[str]:
    """Every name of ours that the registry can show, also of metrics that were never observed."""
    return {
        family.name + suffix
        for family in registry.collect()
        if family.name.startswith("penstock_")
        for suffix in _SUFFIXES[family.type]
    }
