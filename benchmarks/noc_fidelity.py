"""Event-driven against cycle-by-cycle network-on-chip: ``python benchmarks/noc_fidelity.py``.

1. Uniform random single-flit traffic on an 8 x 8 mesh with one cycle per hop: mean latency of a
   packet without injection and ejection, by load and depth of the buffers, beside the latency of
   an independent flit-level model (a throw-away prototype, recorded once); hops per CPU-second.
2. Error of the event-driven model's time per step, with the cycle-by-cycle model as the truth, on
   a synthetic convolutional network at several input rates, with the costs of a small machine and
   with cores that take no time; and on the shipped digits network.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cycle_speed import convolutional, mesh_nodes, uniform_traffic
from support.simple_mapping import Options, simple_mapping
from support.small_targets import round_costs, small_target

import snnc
from snnc.compiler.options import CompileOptions
from snnc.inputs import InputOptions, integer_batch, load
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.simulators import cycle
from snnc.simulators.cycle import ends, flit, flit_tables, noc, noc_tables
from snnc.simulators.cycle.timing import Fidelity

NETWORKS: tuple[Fidelity, ...] = ("transaction", "flit")
LOADS = (0.01, 0.10, 0.20, 0.30, 0.35, 0.40)
RECORDED = {4: (5.33, 5.59, 6.14, 7.69, 19.2, 1212.0), 16: (5.33, 5.59, 6.14, 7.60, 9.75, 23.7)}
CYCLES = 20000
SEEDS = 3
SIDE = 8


class Point(NamedTuple):
    """Mean latency of a packet in cycles, hops per CPU-second."""

    latency: float
    speed: float


def without_costs(target: Target) -> Target:
    """The same machine with events that take no time and hops of one cycle."""
    costs = round_costs().model_copy(update={"events": {}})
    return target.model_copy(update={"cost_sets": {target.default_cost: costs}})


def mesh(depth: int) -> Deployment:
    """One sender and receiver per router of the mesh, everyone connected to everyone else."""
    target = small_target(
        SIDE, SIDE, multicast=False, buffer=depth, injection=CYCLES, receive=depth
    )
    network = IntegerNetwork("mesh", mesh_nodes(SIDE * SIDE))
    options = Options(neurons_per_core=2, interleave=True)
    return simple_mapping(network, without_costs(target), 1, options=options)


def measure(deployment: Deployment, injected: float, fidelity: str) -> Point:
    """Mean over seeds; the fastest of them counts, so that compilation and other jobs do not."""
    machine = noc_tables.describe(deployment)
    sends = deployment.routes.send_net.size
    tables, buffers = noc_tables.build(deployment, machine, np.zeros(sends))
    latency, speed = [], []
    for seed in range(SEEDS):
        releases = uniform_traffic(deployment, machine, injected, CYCLES, seed)
        if fidelity == "flit":
            wide, flits = flit_tables.new_state(deployment, machine, tables, buffers)
            start = time.process_time()
            flit.drain(wide, flits, releases)
            total = flits.total
        else:
            state = noc.new_state(tables, buffers)
            start = time.process_time()
            noc.drain(tables, state, releases)
            total = state.total
        speed.append(float(total[ends.HOPS]) / (time.process_time() - start))
        latency.append(
            float(total[ends.ARRIVALS] - releases.time.sum()) / float(total[ends.DELIVERED])
        )
    return Point(float(np.mean(latency)), max(speed))


def saturation(latency: list[float]) -> float:
    """The first load whose latency is more than three times that of the empty mesh."""
    above = [injected for injected, each in zip(LOADS, latency, strict=True) if each > 16.0]
    return above[0] if above else float("inf")


def curves() -> None:
    """Latency by load against the recorded curves."""
    print(f"8 x 8 mesh, uniform random, 1 cycle per hop, {CYCLES} cycles, {SEEDS} seeds")
    for depth, recorded in RECORDED.items():
        deployment = mesh(depth)
        rows = {
            fidelity: [measure(deployment, injected, fidelity) for injected in LOADS]
            for fidelity in ("flit", "transaction")
        }
        print(f"buffers of {depth}:  load  recorded      flit         transaction    M hops/CPU-s")
        for i, injected in enumerate(LOADS):
            a, b = rows["flit"][i], rows["transaction"][i]
            print(
                f"{injected:20.2f} {recorded[i]:9.2f} {a.latency:9.2f} "
                f"({a.latency / recorded[i] - 1:+7.1%}) {b.latency:9.2f} "
                f"({b.latency / a.latency - 1:+7.1%} of flit) "
                f"{a.speed / 1e6:6.1f} {b.speed / 1e6:6.1f}"
            )
        points = [
            f"{name} {saturation(values):.2f}"
            for name, values in (
                ("recorded", list(recorded)),
                ("flit", [p.latency for p in rows["flit"]]),
                ("transaction", [p.latency for p in rows["transaction"]]),
            )
        ]
        print(f"  saturates (three times the empty mesh) at: {', '.join(points)}")


def errors(name: str, deployment: Deployment, inputs: dict[str, IntArray]) -> None:
    """Time per step of the two models; ``tick_cycles`` without load phases."""
    found, seconds = {}, {}
    for fidelity in NETWORKS:
        cycle.run(deployment, {n: v[:1] for n, v in inputs.items()}, (), noc=fidelity)
        start = time.process_time()
        found[fidelity] = cycle.run(deployment, inputs, (), noc=fidelity)
        seconds[fidelity] = time.process_time() - start
    truth, model = (found[f].timing for f in ("flit", "transaction"))
    assert truth is not None
    assert model is not None
    same = found["flit"].counts == found["transaction"].counts
    true, guess = (t.tick_cycles[:, 1:].ravel() for t in (truth, model))
    error = (guess - true)[true > 0] / true[true > 0]
    hops = found["flit"].hops
    print(
        f"{name:34} MAPE {np.abs(error).mean():8.3%}  worst {np.abs(error).max():7.2%}  "
        f"total {guess.sum() / true.sum() - 1:+8.3%}  counts {'equal' if same else 'DIFFER'}  "
        f"CPU-s {seconds['flit']:.2f} / {seconds['transaction']:.2f}  hops {hops:,}  "
        f"limits {dict(truth.limits)}"
    )


def synthetic() -> None:
    """A convolutional network on a mesh of 8 x 4 routers with 4 cores each."""
    rng = np.random.default_rng(0)
    network = convolutional(rng)
    one = small_target(8, 4, 4, buffer=4, receive=4)
    two = small_target(4, 4, 4, buffer=4, receive=4, chip_link_cycles=8)
    for name, target, chips in (
        ("round costs", one, 1),
        ("instant cores", without_costs(one), 1),
        ("instant, 2 chips", without_costs(two), 2),
    ):
        options = Options(neurons_per_core=128)
        deployment = simple_mapping(network, target, 100, chips, options)
        for rate in (0.003, 0.01, 0.03, 0.1):
            frames = (rng.random((2, 100, 2, 34, 34)) < rate).astype(np.int64)
            errors(f"synthetic, {name}, input {rate:g}", deployment, {"x": frames})


def digits(samples: int) -> None:
    """The shipped digits network on Loihi, and there with cores that take no time."""
    data = files("snnc") / "demo_data"
    with as_file(data / "digits_cnn.nir") as model, as_file(data / "digits_test.npz") as images:
        inputs = InputOptions(encode="direct", timesteps=10)
        options = CompileOptions(target="loihi1", timesteps=10)
        compiled = snnc.compile(model, options, calibration=images, inputs=inputs)
        assert compiled.deployment is not None  # no stop_after
        deployment = compiled.deployment
        nodes = deployment.network.of_type(Input)
        batch = load(images, nodes, inputs, samples).batch(0, samples)
    instant = replace(deployment, target=without_costs(deployment.target))
    for name, program in (("loihi1", deployment), ("loihi1, instant cores", instant)):
        errors(f"digits, {name}", program, integer_batch(batch, nodes))


if __name__ == "__main__":
    curves()
    synthetic()
    digits(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
