"""Speed of the functional simulator against the reference and a bare scatter-add loop.

    python benchmarks/functional_speed.py [--repeats 5] [--quick | --large-only]

One run prints everything its ratios use.  The bare loop is the least any simulator must do: for
every spike of the same run, walk its row of a CSR matrix and add the weights; no neurons, no time
steps, no input conversion, no recording.  Times are CPU seconds of this process and wall seconds;
each is the median of the repeats.

Large convolutions (109 million synapses, the medium network of ``shared_weights.py``) run with
shared rows and with every row written out, each in a process of its own: CPU seconds to build and
to run, and the process's peak of memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snnc.ir.expand import Projection, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.jit import kernel
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Linear
from snnc.ir.weights import Conv
from snnc.simulators import functional, reference
from snnc.simulators.functional import shared_layouts
from snnc.simulators.functional.layouts import words

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from measuring import measure
from shared_weights import SIZES, network
from support.speed_networks import event_cnn, layered_lif, nmnist_cnn


@kernel
def bare_csr(row: Any, target: Any, weight: Any, index: Any, sums: Any) -> int:
    """The loop of the unpacked layout: int32 target, int8 weight."""
    events = 0
    for i in index:
        begin, end = row[i], row[i + 1]
        events += end - begin
        for j in range(begin, end):
            sums[target[j]] += weight[j]
    return events


@kernel
def bare_words(row: Any, packed: Any, index: Any, sums: Any) -> int:
    """The loop of one 32-bit word per synapse."""
    events = 0
    for i in index:
        begin, end = row[i], row[i + 1]
        events += end - begin
        for j in range(begin, end):
            sums[packed[j] & 0xFFFFFF] += packed[j] >> 24
    return events


def bare_loops(
    projections: tuple[Projection, ...], spikes: dict[str, Any]
) -> tuple[Callable[[], int], Callable[[], int]]:
    """(unpacked, packed) loops over all spikes, source by source in time order."""
    unpacked, packed = [], []
    for p in projections:
        assert np.abs(p.weight).max() < 128
        sums = np.zeros(p.targets, np.int32)
        index = spikes[p.source]
        unpacked.append((p.row_ptr, p.target, p.weight.astype(np.int8), index, sums))
        packed.append((p.row_ptr, words(p), index, sums))
    return (
        lambda: sum(bare_csr(*arguments) for arguments in unpacked),
        lambda: sum(bare_words(*arguments) for arguments in packed),
    )


MANY = 16


def benchmark(
    title: str, network: IntegerNetwork, x: Any, repeats: int, reference_samples: int
) -> None:
    """Measure one network and print its table."""
    inputs = {network.order[0].name: x}
    compiled = functional.Functional(network)
    result = compiled.run(inputs)
    events = int(result.synaptic_events.sum())
    spikes = {name: e.index for name, e in result.spikes.items()}
    samples, steps = x.shape[:2]
    spikes[network.order[0].name] = np.nonzero(x.reshape(samples * steps, -1))[1].astype(np.int32)
    loop, packed_loop = bare_loops(expand(network).projections, spikes)
    assert loop() == events, "the bare loop handles the same events"

    few = {name: values[:reference_samples] for name, values in inputs.items()}
    small = compiled.run(few)
    mismatches = sum(small.mismatches(reference.run(network, few)).values())
    slow = measure(lambda: reference.run(network, few), max(1, repeats // 2))
    slow_rate = int(small.synaptic_events.sum()) / slow.cpu
    fast = measure(lambda: compiled.run(inputs, record=()), repeats)
    recording = measure(lambda: compiled.run(inputs), repeats)
    # A few milliseconds say nothing of threads.
    many = {name: np.concatenate([values] * MANY) for name, values in inputs.items()}
    one = measure(lambda: compiled.run(many, record=()), repeats)
    two = measure(lambda: compiled.run(many, record=(), threads=2), repeats)
    bare, bare_packed = measure(loop, repeats), measure(packed_loop, repeats)

    neurons = sum(n.size for n in network.populations)
    fired = sum(int(c.sum()) for c in result.spike_counts.values())
    synapses = compiled.program.synapses
    print(f"\n{title}: {neurons} neurons, {synapses} synapses")
    print(
        f"  {samples} samples x {steps} steps, {100 * fired / neurons / samples / steps:.2f} % "
        f"activity, {events / 1e6:.2f} M synaptic events, mismatches vs reference: {mismatches}"
    )
    print(f"  {'':34}{'CPU s':>9}{'wall s':>9}{'M events/s (CPU)':>18}")
    print(f"  {f'reference ({reference_samples} samples)':34}{slow.cpu:9.3f}{slow.wall:9.3f}"
          f"{slow_rate / 1e6:18.2f}")  # fmt: skip
    for label, t in (
        ("functional, 1 thread", fast),
        ("functional, recording all spikes", recording),
        ("bare CSR loop, int32 + int8", bare),
        ("bare CSR loop, packed words", bare_packed),
    ):
        print(f"  {label:34}{t.cpu:9.3f}{t.wall:9.3f}{events / t.cpu / 1e6:18.2f}")
    print(f"  functional / reference         {events / fast.cpu / slow_rate:8.0f} x events/s")
    print(f"  functional / bare, int32+int8  {fast.cpu / bare.cpu:8.2f} x time")
    print(f"  functional / bare, packed      {fast.cpu / bare_packed.cpu:8.2f} x time")
    print(f"  2 threads, {MANY} x the samples    {one.wall / two.wall:8.2f} x faster (wall)")


LARGE = {"8-bit weights": 1, "16-bit weights": 100}
"""Factors of all weights and thresholds: the spikes are the same, the layouts are not."""


def scaled(given: IntegerNetwork, factor: int) -> IntegerNetwork:
    """The same network with larger numbers."""

    def times(node: Any) -> Any:
        if isinstance(node, Linear) and isinstance(node.weights, Conv):
            conv = dataclasses.replace(node.weights, values=node.weights.values * factor)
            return dataclasses.replace(node, weights=conv)
        if isinstance(node, Neuron) and node.name != "classes":
            return dataclasses.replace(node, thresholds=node.thresholds * factor)
        return node

    return IntegerNetwork(given.name, tuple(times(node) for node in given.nodes))


def one_way(way: str, weights: str, repeats: int) -> dict[str, Any]:
    """Build and run the large convolutions in this process."""
    pixels = SIZES["medium"][0]
    given = scaled(network(pixels), LARGE[weights])
    shared_layouts.SHARED_FROM = 0 if way == "shared" else 1 << 62
    small = (np.random.default_rng(0).random((1, 2, 3, 40, 40)) < 0.1).astype(np.uint8)
    functional.run(scaled(network(40), LARGE[weights]), {"image": small})  # compiles the kernels
    x = (np.random.default_rng(0).random((1, 4, 3, pixels, pixels)) < 0.1).astype(np.uint8)
    begin = time.process_time()
    compiled = functional.Functional(given)
    built = time.process_time() - begin
    result = compiled.run({"image": x}, ())
    return {
        "build": built,
        "run": measure(lambda: compiled.run({"image": x}, ()), repeats).cpu,
        "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "synapses": compiled.program.synapses,
        "events": int(result.synaptic_events.sum()),
        "spikes": {name: int(count.sum()) for name, count in result.spike_counts.items()},
    }


def large_convolutions(repeats: int) -> None:
    """Shared and written out, side by side."""
    for weights in LARGE:
        found = {}
        for way in ("written out", "shared"):
            arguments = ["--child", way, weights, "--repeats", str(repeats)]
            command = [sys.executable, __file__, *arguments]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            found[way] = json.loads(done.stdout)
        plain, shared = found["written out"], found["shared"]
        for name in ("synapses", "events", "spikes"):
            assert plain[name] == shared[name], f"{name} differ"
        print(
            f"\nlarge convolutions, {weights}: {shared['synapses'] / 1e6:.0f} M synapses, "
            f"{shared['events'] / 1e6:.0f} M events, {sum(shared['spikes'].values())} spikes, equal"
        )
        print(f"  {'':14}{'build, CPU s':>13}{'run, CPU s':>12}{'M events/s':>12}{'peak GB':>9}")
        for way, r in found.items():
            rate = r["events"] / r["run"] / 1e6
            print(f"  {way:14}{r['build']:13.2f}{r['run']:12.3f}{rate:12.0f}{r['gb']:9.2f}")
        print(
            f"  written out / shared: {plain['build'] / shared['build']:.1f} x the time to build, "
            f"{plain['run'] / shared['run']:.2f} x to run, {plain['gb'] / shared['gb']:.1f} x GB"
        )


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="skip the largest networks")
    parser.add_argument("--large-only", action="store_true", help="large convolutions only")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(one_way(*options.child, options.repeats)))
        return
    if not options.quick:
        large_convolutions(options.repeats)
    if options.large_only:
        return
    published = nmnist_cnn()
    if published is not None:
        benchmark("published N-MNIST network", *published, options.repeats, 1)
    benchmark("CNN of the N-MNIST shape", *event_cnn(), options.repeats, 1)
    for neurons, samples in ((1_000, 16), (10_000, 4), (50_000, 2)):
        if neurons < 50_000 or not options.quick:
            net = layered_lif(neurons, samples)
            benchmark(f"layered LIF, {neurons}", *net, options.repeats, 1)


if __name__ == "__main__":
    main()
