"""The rules for Prometheus use metrics that a worker really has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from schemas.outputs import Alert
from worker.ops.metrics import ALERTS_OPEN, LABELS, METRICS, PARTITIONS
from worker.stream.status import PartitionState

PATH = Path(__file__).parents[3] / "deploy" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(PATH.read_text())["groups"][0]["rules"]
_SERIES = re.compile(r'(stockfreeze_\w+)(?:\{(\w+)="(\w+)"\})?')
_LABELS = re.compile(r"by \(([a-z, ]+)\)|\$labels\.(\w+)")
METRIC_OF = {metric.exposed_name: metric for metric in METRICS}
VALUES = {**LABELS, ALERTS_OPEN.name: get_args(Alert), PARTITIONS.name: [state.value for state in PartitionState]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_labels_and_values_that_there_are(rule: dict[str, Any]) -> None:
    series = _SERIES.findall(rule["expr"])
    assert series
    known = {"instance"}
    for name, label, value in series:
        assert name in METRIC_OF
        metric = METRIC_OF[name]
        known |= set(metric.labels)
        if label:
            assert label in metric.labels
            assert value in VALUES[metric.name]
    named = {group for groups in _LABELS.findall(rule["expr"] + rule["annotations"]["summary"]) for group in groups}
    assert named - {""} <= known
