"""Layered LIF networks of 1k to 1M neurons: speed and memory, beside the limit and the peers.

    python benchmarks/synthetic_speed.py [--neurons 1000,10000] [--peers FOLDER] [--only nest]

Ten layers in a ring, every neuron reaching about 100 of the next layer (exactly 100 of the layer
before reach it), 8-bit weights, about 5 % of the neurons active in a step.  One run prints all
that its ratios use: the functional simulator, the bare loop that adds the packed synapses of the
same spikes (the limit of any simulator that visits every synaptic event), the network built
through the public classes, resident memory, and the bytes that a stored synapse takes.  Each size
runs in a process of its own, on one thread; times are CPU seconds.

``--peers`` names a folder in which brian2 (compiled C++), NEST and SANA-FE ("simple") are
installed, each in an environment of its own, and then simulate the same synapses and neurons in
floating point, on one thread, in their own process.  Compiling and building stand apart.  A peer
that cannot be installed, or does not hold the network in the memory free, is left out with the
reason.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from functional_speed import bare_words
from measuring import measure

from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.types import BIN
from snnc.ir.weights import Dense, Sparse
from snnc.simulators import functional, reference
from snnc.simulators.functional.layouts import TARGET_BITS

LAYERS, FAN_IN = 10, 100
THRESHOLD, DECAY, DECAY_BITS = 4096, 3995, 12
BIASES, LARGEST = (150, 400), 100
# Bytes of memory a peer takes per synapse, on the safe side; and what to install.
PEERS = {
    "brian2": (110, ("brian2==2.9.0", "numpy<2.3", "setuptools<81")),
    "nest": (90, ("nest-simulator",)),
    "sanafe": (1200, ("sanafe==2.2.9", "numpy")),
}


def layer(size: int, number: int) -> tuple[Any, Any]:
    """(sources, weights) of one layer, [size, FAN_IN]: one source out of each FAN_IN-th part."""
    rng = np.random.default_rng(number)
    edges = np.linspace(0, size, FAN_IN + 1).astype(np.int64)
    sources = rng.integers(edges[:-1], edges[1:], (size, FAN_IN), np.int64)
    weights = rng.integers(-LARGEST, LARGEST, (size, FAN_IN), np.int8)
    return sources, weights + (weights >= 0)  # no weight is 0


def parameters(size: int, number: int) -> tuple[Any, Any]:
    """(bias, first membrane) of one layer's neurons."""
    rng = np.random.default_rng(1000 + number)
    return rng.integers(*BIASES, size), rng.integers(0, THRESHOLD, size)


def ring(neurons: int) -> IntegerNetwork:
    """The network; its input is silent, the biases keep it going."""
    size = neurons // LAYERS
    nodes: list[Any] = [Input("x", (1,), BIN), Linear("wx", ("x",), Dense(np.ones((size, 1), int)))]
    for k in range(LAYERS):
        sources, weights = layer(size, k)
        pointer = np.arange(size + 1) * FAN_IN
        matrix = Sparse(pointer, sources.reshape(-1), weights.reshape(-1), size, (size,))
        before, source = f"n{(k - 1) % LAYERS}", f"w{k}"
        nodes += [Delay(f"d{k}", (before,), 1), Linear(source, (f"d{k}",), matrix)]
        if k == 0:
            nodes.append(Add("sum", (source, "wx")))
            source = "sum"
        bias, first = parameters(size, k)
        nodes.append(
            Neuron(
                f"n{k}", (source,), (size,), np.array([THRESHOLD]), Reset("value"),
                Leak(np.array(DECAY), DECAY_BITS), bias=(GatedBias(bias),), initial=first,
                state_range=StateRange(-(2**23), 2**23 - 1),
            )
        )  # fmt: skip
    return IntegerNetwork(f"ring-{neurons}", (*nodes, Output("out", (f"n{LAYERS - 1}",))))


def steps_for(neurons: int) -> int:
    """Steps that take about a second."""
    return int(np.clip(20_000_000 // neurons, 40, 4000))


def resident() -> tuple[float, float]:
    """(now, highest so far) resident memory of this process, GB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return pages * resource.getpagesize() / 1e9, highest * 1024 / 1e9


def own(neurons: int, repeats: int) -> dict[str, Any]:
    """Build, run and measure one network in this process."""
    begin = time.process_time()
    network = ring(neurons)
    drawn = time.process_time() - begin
    begin = time.process_time()
    compiled = functional.Functional(network)
    built = time.process_time() - begin
    highest = resident()[1]
    steps = steps_for(neurons)
    inputs = {"x": np.zeros((1, steps, 1), np.uint8)}
    result = compiled.run(inputs)
    took = measure(lambda: compiled.run(inputs, ()), repeats)
    memory = max(highest, resident()[1])
    limit = measure(bare_loop(compiled, result, steps), repeats)
    stored = sum(array.nbytes for array in compiled.program.network.synapses)
    found = {
        "neurons": neurons, "synapses": compiled.program.synapses, "steps": steps,
        "active": sum(int(c.sum()) for c in result.spike_counts.values()) / neurons / steps,
        "events": int(result.synaptic_events.sum()), "drawn": drawn, "built": built,
        "cpu": took.cpu, "limit": limit.cpu, "memory": memory, "bytes": stored,
    }  # fmt: skip
    if neurons <= 10_000:
        few = {"x": inputs["x"][:, :20]}
        expected = reference.run(network, few)
        found["mismatches"] = sum(compiled.run(few).mismatches(expected).values())
    return found


def bare_loop(compiled: functional.Functional, result: Any, steps: int) -> Any:
    """The packed loop over the spikes of a run, layer by layer in order of time."""
    calls = []
    for k in range(LAYERS):
        sources, weights = layer(len_of(compiled, k), (k + 1) % LAYERS)
        order = np.argsort(sources.reshape(-1), kind="stable")
        size = len(sources)
        row = np.append(0, np.cumsum(np.bincount(sources.reshape(-1), minlength=size)))
        targets = (order // FAN_IN).astype(np.int32)
        words = (weights.reshape(-1)[order].astype(np.int32) << TARGET_BITS) | targets
        fired = result.spikes[f"n{k}"]
        index = fired.index[fired.step < steps - 1].astype(np.int32)
        calls.append((row, words, index, np.zeros(size, np.int32)))
    events = sum(bare_words(*call) for call in calls)
    assert events == result.synaptic_events.sum(), "the bare loop handles the same events"
    return lambda: sum(bare_words(*call) for call in calls)


def len_of(compiled: functional.Functional, k: int) -> int:
    """Neurons of a layer."""
    return compiled.network.node[f"n{k}"].size  # type: ignore[union-attr]


def install(folder: Path, peer: str) -> tuple[Path | None, str]:
    """(interpreter that has the peer, reason why there is none)."""
    place = folder / peer
    python = place / "bin" / "python"
    ready = place / "ready"
    if not ready.exists():
        commands = [
            [sys.executable, "-m", "venv", str(place)],
            [str(python), "-m", "pip", "install", "--quiet", *PEERS[peer][1]],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return None, f"not installed: {last_line(done.stderr)}"
        ready.touch()
    return python, ""


def last_line(text: str) -> str:
    """What an error message ends with."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def save(neurons: int, path: Path) -> None:
    """The network for the peers."""
    size = neurons // LAYERS
    layers = [layer(size, k) for k in range(LAYERS)]
    more = [parameters(size, k) for k in range(LAYERS)]
    np.savez(
        path,
        sources=np.stack([sources.astype(np.int32) for sources, _ in layers]),
        weights=np.stack([weights for _, weights in layers]),
        bias=np.stack([bias for bias, _ in more]),
        initial=np.stack([initial for _, initial in more]),
        threshold=THRESHOLD,
        decay=DECAY / (1 << DECAY_BITS),
    )


def free_memory() -> float:
    """Bytes that a new process can have."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if "MemAvailable" in line)


def beside(peer: str, python: Path, neurons: int, steps: int, limit_s: float) -> Any:
    """What the peer printed, or why there is nothing."""
    need = PEERS[peer][0] * neurons * FAN_IN
    if need > 0.8 * free_memory():
        return f"left out: needs about {need / 1e9:.0f} GB, {free_memory() / 1e9:.0f} GB are free"
    script = Path(__file__).parent / "peers" / f"layered_{peer}.py"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        save(neurons, path)
        command = [str(python), str(script), str(path), str(steps)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=limit_s,
                env=environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"left out: more than {limit_s:.0f} s"
    if done.returncode:
        return f"failed: {last_line(done.stderr)}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(mine: dict[str, Any]) -> None:
    """Our own lines of one size."""
    events, steps, neurons = mine["events"], mine["steps"], mine["neurons"]
    compared = f", {mine['mismatches']} mismatches" if "mismatches" in mine else ", not compared"
    print(f"\n{neurons:,} neurons, {mine['synapses']:,} synapses, {steps} steps, "
          f"{mine['active']:.2%} active{compared} with the reference")  # fmt: skip
    print(f"  {'functional':<12}{steps / mine['cpu']:>12.1f} steps/s"
          f"{events / mine['cpu'] / 1e6:>9.0f} M events/s   built in {mine['built']:.1f} s "
          f"(drawn in {mine['drawn']:.1f} s)")  # fmt: skip
    print(f"  {'bare loop':<12}{steps / mine['limit']:>12.1f} steps/s"
          f"{events / mine['limit'] / 1e6:>9.0f} M events/s   "
          f"functional / limit {mine['limit'] / mine['cpu']:.0%}")  # fmt: skip
    print(f"  {mine['bytes'] / mine['synapses']:.2f} bytes per stored synapse, "
          f"{mine['memory']:.2f} GB resident at most, building included", flush=True)  # fmt: skip


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", default="1000,10000,50000,200000,1000000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="folder for their environments")
    parser.add_argument("--only", default=",".join(PEERS), help="some of the peers")
    parser.add_argument("--peer-seconds", type=float, default=900, help="longest run of a peer")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(own(options.child, options.repeats)))
        return
    pythons = {}
    if options.peers is not None:
        pythons = {peer: install(options.peers, peer) for peer in options.only.split(",")}
    for neurons in map(int, options.neurons.split(",")):
        command = [sys.executable, __file__, "--child", str(neurons)]
        command += ["--repeats", str(options.repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        mine = json.loads(done.stdout.strip().splitlines()[-1])
        show(mine)
        for peer, (python, reason) in pythons.items():
            steps = max(20, mine["steps"] // (20 if peer == "sanafe" else 2))
            found: Any = reason
            if python is not None:
                found = beside(peer, python, neurons, steps, options.peer_seconds)
            if isinstance(found, str):
                print(f"  {peer:<12}{found}", flush=True)
                continue
            ratio = mine["steps"] / mine["cpu"] * found["cpu"] / steps
            active = found["spikes"] / neurons / steps
            print(f"  {peer:<12}{steps / found['cpu']:>12.1f} steps/s"
                  f"{active * neurons * FAN_IN * steps / found['cpu'] / 1e6:>9.0f} M events/s   "
                  f"built in {found['built']:.1f} s, {active:.2%} active, "
                  f"{found['memory']:.2f} GB; functional {ratio:.1f} x", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
