"""Two runs that must be the same in everything they hold."""

from __future__ import annotations

import numpy as np

from snnc.simulators.result import RunResult


def assert_same_run(found: RunResult, truth: RunResult) -> None:
    """Every output, recorded spike and spike count is that of the truth, and none is missing."""
    assert set(found.spikes) == set(truth.spikes)
    assert set(found.outputs) == set(truth.outputs)
    assert {name: n for name, n in found.mismatches(truth).items() if n} == {}
    assert set(found.spike_counts) == set(truth.spike_counts)
    for name, counts in truth.spike_counts.items():
        np.testing.assert_array_equal(found.spike_counts[name], counts, name)
