"""A small target built in code, so that compiler tests depend on no shipped description."""

from __future__ import annotations

from typing import Any

from snnc.ir.target import Target

UNKNOWN = {"v": None, "ev": "assumed"}

NEURON: dict[str, Any] = {
    "comparator": ">=",
    "leak": "multiplicative",
    "leak_bits": 12,
    "current": True,
    "reset": {"zero": {}, "subtract": {}},
    "levels": 1,
    "threshold_bits": 17,
    "state_bits": 24,
    "input_shift": (0, 6),
}

CORE: dict[str, Any] = {
    "resources": {"neurons": {"capacity": {"v": 1024, "ev": "assumed"}, "use": "n_neurons"}},
    "encodings": ("sparse",),
    "weight": {"bits": (8,)},
    "max_delay": {"v": 62, "ev": "assumed"},
}


def small_target(
    *,
    neuron: dict[str, Any] | None = None,
    core: dict[str, Any] | None = None,
    payload_bits: int = 0,
    min_delay: int = 1,
) -> Target:
    """A 2 x 2 mesh with the given changes to its neuron model and core."""
    return Target.model_validate(
        {
            "schema": "snnc-target/1",
            "id": "test",
            "name": "test machine",
            "summary": "for tests",
            "sources": {},
            "execution": {"sync": "barrier", "cycle_s": UNKNOWN, "min_delay": min_delay},
            "spike": {"payload_bits": payload_bits},
            "topology": {
                "grid": (2, 2),
                "cores_per_router": 1,
                "usable_cores": 4,
                "max_chips": {"v": 4, "ev": "assumed"},
            },
            "core": {**CORE, **(core or {})},
            "neuron": {**NEURON, **(neuron or {})},
            "noc": {"multicast": True, "buffer_packets": {"v": 4, "ev": "assumed"}},
            "cost_sets": {"none": {"scope": "unpriced"}},
            "default_cost": "none",
        }
    )
