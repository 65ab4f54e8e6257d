"""Tiny machines with round numbers, built in code, for tests that compute by hand."""

from __future__ import annotations

from typing import Any

from snnc.ir.target import Cost, CostTable, Target

NS = 1e-9
PJ = 1e-12


def quantity(value: float | None, unit: str = "") -> dict[str, Any]:
    return {"v": value, "u": unit, "ev": "assumed" if value is not None else "unknown"}


def round_costs() -> CostTable:
    """One nanosecond or a few, and a different power of two of picojoule, per event."""
    events = {
        "synapse_op_dense": Cost(energy=1 * PJ, latency=1 * NS),
        "synapse_op_sparse": Cost(energy=2 * PJ, latency=2 * NS),
        "neuron_access": Cost(energy=4 * PJ, latency=1 * NS),
        "neuron_update": Cost(energy=8 * PJ, latency=2 * NS),
        "spike_generate": Cost(energy=16 * PJ, latency=3 * NS),
        "message_out": Cost(energy=32 * PJ, latency=1 * NS),
        "message_in": Cost(energy=64 * PJ, latency=4 * NS),
        "hop_ew": Cost(energy=128 * PJ, latency=2 * NS),
        "hop_ns": Cost(energy=256 * PJ, latency=3 * NS),
        "hop_chip": Cost(energy=512 * PJ, latency=10 * NS),
        "host_in": Cost(energy=1024 * PJ, latency=1 * NS),
    }
    return CostTable.model_validate({"scope": "per_term", "events": events})


def small_target(
    width: int = 3,
    height: int = 3,
    cores_per_router: int = 1,
    *,
    multicast: bool = True,
    payload_bits: int = 0,
    signed: bool = False,
    buffer: int = 4,
    injection: int = 4,
    receive: int = 4,
    packets_per_cycle: float = 1,
    chip_link_cycles: float | None = None,
    costs: CostTable | None = None,
    static_w: float | None = 0.5,
    sync: str = "barrier",
    tick_s: float | None = None,
    barrier: dict[int, float] | None = None,
    max_chips: int = 4,
    links: str = "mesh",
) -> Target:
    """A mesh of routers with the given buffers; every other capability is generous."""
    return Target.model_validate(
        {
            "schema": "snnc-target/1",
            "id": "small",
            "name": "Small test machine",
            "summary": "for tests",
            "sources": {},
            "execution": {
                "sync": sync,
                "cycle_s": quantity(1 * NS, "s"),
                "tick_s": quantity(tick_s, "s"),
                "barrier_s": {1: 100 * NS, 4: 300 * NS} if barrier is None else barrier,
            },
            "spike": {"payload_bits": payload_bits, "signed": signed},
            "topology": {
                "grid": (width, height),
                "cores_per_router": cores_per_router,
                "usable_cores": width * height * cores_per_router,
                "max_chips": quantity(max_chips),
                "chip_arrangement": "row",
                "links": links,
            },
            "core": {
                "resources": {},
                "encodings": ("dense", "sparse"),
                "weight": {"bits": (8,)},
                "max_delay": quantity(60, "tick"),
            },
            "neuron": {
                "comparator": ">=",
                "leak": "multiplicative",
                "reset": {"zero": {}, "subtract": {}},
                "levels": None,
                "negative_levels": None,
                "state_bits": 40,
            },
            "noc": {
                "multicast": multicast,
                "buffer_packets": quantity(buffer),
                "injection_packets": quantity(injection),
                "receive_packets": quantity(receive),
                "packets_per_cycle": quantity(packets_per_cycle),
                "chip_link_cycles": quantity(chip_link_cycles),
            },
            "cost_sets": {"round": costs or round_costs()},
            "default_cost": "round",
            "static_w_per_chip": quantity(static_w, "W"),
        }
    )
