"""Speed of the emulated chip: ``python benchmarks/cycle_speed.py [samples]``.

Two measurements, in one process and CPU-seconds:

1. a convolutional network of the size of the published N-MNIST one (34 x 34 x 2 events, 300
   steps) on a 8 x 4 mesh of 4 cores, beside the functional simulator and the reference on the
   same inputs; the spikes of all three are compared;
2. uniform random single-flit traffic on an 8 x 8 mesh: hops per second of the network kernel.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Index, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense
from snnc.simulators import cycle, functional, reference
from snnc.simulators.cycle import ends, noc, noc_tables

STEPS = 300


def convolutional(rng: np.random.Generator) -> IntegerNetwork:
    """Three strided convolutions and two dense layers."""
    nodes: list[Any] = [Input("x", (2, 34, 34), BIN)]
    shape: tuple[int, ...] = (2, 34, 34)
    source = "x"
    for number, channels in enumerate((8, 16, 16)):
        kernel = rng.integers(-20, 31, (channels, shape[0], 3, 3))
        conv = Conv(kernel, (2, 2), ((1, 1), (1, 1)), (1, 1))
        nodes.append(Linear(f"w{number}", (source,), conv))
        shape = conv.output_shape("w", shape)
        source = f"conv{number}"
        level = np.array([(80, 140, 140)[number]])
        nodes.append(Neuron(source, (f"w{number}",), shape, level, Reset("value")))
    flat = int(np.prod(shape))
    nodes.append(Index("flat", (source,), (flat,)))
    source = "flat"
    for number, size in enumerate((128, 10)):
        before = flat if number == 0 else 128
        weights = Dense(rng.integers(-20, 24, (size, before)))
        nodes.append(Linear(f"d{number}", (source,), weights))
        source = f"dense{number}"
        nodes.append(Neuron(source, (f"d{number}",), (size,), np.array([260]), Reset("value")))
    return IntegerNetwork("conv", (*nodes, Output("out", (source,))))


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """Result and CPU-seconds of the second call; the first one compiles."""
    action()
    start = time.process_time()
    result = action()
    return result, time.process_time() - start


def whole_chip(samples: int) -> None:
    """Cycle-level, function only, functional and reference on the same samples."""
    rng = np.random.default_rng(0)
    network = convolutional(rng)
    inputs = {"x": (rng.random((samples, STEPS, 2, 34, 34)) < 0.01).astype(np.int64)}
    target = small_target(8, 4, 4, buffer=16, injection=16, receive=16)
    deployment = simple_mapping(network, target, STEPS, options=Options(neurons_per_core=128))
    full, full_s = timed(lambda: cycle.run(deployment, inputs))
    bare, bare_s = timed(lambda: cycle.run(deployment, inputs, timing=False))
    fast, fast_s = timed(lambda: functional.run(network, inputs))
    one = {"x": inputs["x"][:1]}
    truth, truth_s = timed(lambda: reference.run(network, one))
    wrong = sum(full.result.mismatches(fast).values()) + sum(bare.result.mismatches(fast).values())
    check = reference_mismatches(deployment, one, truth)
    spikes = sum(int(c.sum()) for c in full.result.spike_counts.values()) / samples
    print(f"{deployment.cores.count} cores, {samples} samples of {full.ticks} ticks; per sample:")
    print(f"  spikes {spikes:,.0f}  packets {full.packets / samples:,.0f}", end="  ")
    print(f"hops {full.hops / samples:,.0f}", end="  ")
    print(f"synaptic events {full.counts['all_in_synaptic_event'] / samples:,.0f}")
    print(f"  mismatches: {wrong} against functional, {check} against the reference")
    rows = (("cycle", full_s), ("cycle, timing=False", bare_s), ("functional", fast_s))
    for name, seconds in (*rows, ("reference", truth_s * samples)):
        each = seconds / samples
        print(f"  {name:20} {each * 1e3:9.1f} ms  {full.ticks / each:12,.0f} ticks/s", end="")
        print(f"  {full_s / seconds:7.2f} x as fast as cycle")
    print(f"  cycle: {full.packets / full_s:,.0f} packets/s, {full.hops / full_s:,.0f} hops/s")


def reference_mismatches(deployment: Deployment, inputs: dict[str, Any], truth: Any) -> int:
    """Differences of the emulated chip from the reference."""
    return sum(cycle.run(deployment, inputs).result.mismatches(truth).values())


def network_only() -> None:
    """Uniform random traffic at several loads."""
    print("8 x 8 mesh, uniform random, 1 cycle per hop, 8 packets per queue:")
    network = IntegerNetwork("mesh", mesh_nodes(64))
    target = small_target(8, 8, multicast=False, buffer=8, injection=64, receive=16)
    target = target.model_copy(
        update={"cost_sets": {"round": target.costs.model_copy(update={"events": {}})}}
    )
    deployment = simple_mapping(
        network, target, 1, options=Options(neurons_per_core=2, interleave=True)
    )
    machine = noc_tables.describe(deployment)
    reaches = deployment.routes.send_net.size
    tables, buffers = noc_tables.build(deployment, machine, np.full(reaches, 0.0))
    for load in (0.01, 0.1, 0.2, 0.3):
        releases = uniform_traffic(deployment, machine, load)
        state = noc.new_state(tables, buffers)
        _, seconds = timed(lambda s=state, r=releases: noc.drain(tables, s, r))  # type: ignore[misc]
        hops, events = (int(state.total[i]) // 2 for i in (ends.HOPS, ends.EVENTS))
        print(f"  {load:5.2f} packets per core and cycle: {hops / seconds:12,.0f} hops/s", end="")
        print(f"  {releases.send.size / seconds:12,.0f} packets/s  {events / hops:.2f} events/hop")


def mesh_nodes(cores: int) -> tuple[Any, ...]:
    """One neuron per core, everyone connected to everyone else."""
    ones = np.ones((cores, cores), np.int64) - np.eye(cores, dtype=np.int64)
    return (
        Input("x", (1,), BIN),
        Linear("wx", ("x",), Dense(np.ones((cores, 1), np.int64))),
        Neuron("a", ("wx",), (cores,), np.array([1]), Reset("value")),
        Linear("wa", ("a",), Dense(ones)),
        Neuron("b", ("wa",), (cores,), np.array([1]), Reset("value")),
        Output("out", ("b",)),
    )


def uniform_traffic(
    deployment: Deployment,
    machine: noc_tables.Machine,
    load: float,
    cycles: int = 20000,
    seed: int = 1,
) -> ends.Releases:
    """Bernoulli arrivals at every core for any other core; nothing from the host."""
    rng = np.random.default_rng(seed)
    cores = machine.senders - machine.host_routers.size
    sends, times, counts = [], [], []
    send_sender = machine.net_sender[deployment.routes.send_net]
    for sender in range(machine.senders):
        mine = np.flatnonzero(send_sender == sender)
        when = np.flatnonzero(rng.random(cycles) < load) if sender < cores else np.zeros(0)
        counts.append(when.size)
        times.append(when.astype(np.float64))
        sends.append(rng.choice(mine, when.size) if when.size else np.zeros(0, np.int64))
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return ends.Releases(ptr, np.concatenate(sends).astype(np.int32), np.concatenate(times))


if __name__ == "__main__":
    whole_chip(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
    network_only()
