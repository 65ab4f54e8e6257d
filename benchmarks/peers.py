"""Emulators of other chips' makers on the same integers: identical spikes, and who is faster.

    python benchmarks/peers.py --folder DIR [--only nengo-loihi|xylosim]

Each peer is installed into an environment of its own under DIR (left there for the next time) and
runs in a process of its own; one that cannot be installed is skipped, with the reason.  Times are
CPU-seconds of the simulation alone (process_time), on both sides; building and compiling apart.
nengo is free for non-commercial use only; nothing of it is imported here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.types import events
from snnc.ir.weights import Dense, Sparse
from snnc.simulators import functional, reference

PEERS = {
    "nengo-loihi": ("nengo_loihi_worker.py",
                    ("numpy<2", "setuptools<81", "nengo==3.2.0", "nengo-loihi==1.1.0")),
    "xylosim": ("xylosim_worker.py", ("numpy", "xylosim==0.1.3")),
}  # fmt: skip
WORKERS = Path(__file__).parent / "peers_workers"
INSTALL_S, RUN_S = 600, 1200
TWENTY_FOUR = StateRange(-(2**23) + 1, 2**23 - 1)


def environment(folder: Path, peer: str) -> Path | str:
    """The interpreter of a peer's environment, or why there is none."""
    python = folder / peer / "bin" / "python"
    done = folder / peer / "installed"
    if done.exists():
        return python
    commands = (
        [sys.executable, "-m", "venv", str(folder / peer)],
        [str(python), "-m", "pip", "install", "-q", *PEERS[peer][1]],
    )
    for command in commands:
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)[:200]
        if made.returncode:
            return (made.stderr.strip().splitlines() or ["pip failed"])[-1][:200]
    done.touch()
    return python


def peer_run(folder: Path, peer: str, job: dict[str, np.ndarray]) -> dict[str, np.ndarray] | str:
    """What a peer found, or why it did not run."""
    python = environment(folder, peer)
    if isinstance(python, str):
        return python
    given, made = folder / f"{peer}.in.npz", folder / f"{peer}.out.npz"
    np.savez(given, **job)
    made.unlink(missing_ok=True)
    command = [str(python), str(WORKERS / PEERS[peer][0]), str(given), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S)
    if not made.exists():
        return f"exit code {done.returncode}: {done.stderr.strip()[-200:]}"
    with np.load(made) as arrays:
        return dict(arrays)


def ours(network: IntegerNetwork, raster: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """Dense spikes [steps, neurons] by population, and CPU-seconds of one sample."""
    inputs = {"x": raster[None]}
    simulator = functional.Functional(network)
    simulator.run(inputs, ())  # compiles the kernels
    repeats, started = 0, time.process_time()
    while repeats < 3 or time.process_time() - started < 0.5:
        simulator.run(inputs, ())
        repeats += 1
    seconds = (time.process_time() - started) / repeats
    result = simulator.run(inputs)
    truth = reference.run(network, inputs)
    assert not any(truth.mismatches(result).values())
    dense = {}
    for node in network.populations:
        found = result.spikes[node.name]
        dense[node.name] = np.zeros((len(raster), node.size), np.int64)
        dense[node.name][found.step, found.index] = found.value
    return dense, seconds


def show(peer: str, size: str, mismatches: int, spikes: int, theirs: float, mine: float) -> None:
    """One row."""
    print(
        f"{peer:12} {size:28} {spikes:9,} spikes {mismatches:5} mismatches   "
        f"peer {theirs:9.4f} CPU-s   ours {mine:9.5f} CPU-s   ratio {theirs / mine:8.1f}x"
    )


def nengo_loihi(folder: Path) -> None:
    """Ten layers of Loihi neurons: a current, a membrane, both rounded as the chip rounds them."""
    for per_layer, steps in ((100, 200), (1000, 100)):
        rng = np.random.default_rng(per_layer)
        layers, fan_out, decay_u, decay_v = 10, 100, 1024, 128
        threshold, shift = 105 * fan_out * 64, 6
        nodes: list[Input | Linear | Neuron | Output] = [Input("x", (per_layer,), events(0, 1))]
        job: dict[str, np.ndarray] = {}
        for k in range(layers):
            target = np.sort(np.argsort(rng.random((per_layer, per_layer)), axis=1)[:, :fan_out])
            weight = rng.integers(-60, 128, target.shape)
            ptr = np.arange(per_layer + 1) * fan_out
            job |= {f"ptr{k}": ptr, f"target{k}": target.reshape(-1),
                    f"weight{k}": weight.reshape(-1) << shift}  # fmt: skip
            order = np.argsort(target.reshape(-1), kind="stable")
            row_ptr = np.searchsorted(target.reshape(-1)[order], np.arange(per_layer + 1))
            source = np.repeat(np.arange(per_layer), fan_out)[order]
            values = weight.reshape(-1)[order]
            matrix = Sparse(row_ptr, source, values, per_layer, (per_layer,))
            sender = "x" if k == 0 else f"n{k - 1}"
            nodes += [
                Linear(f"w{k}", (sender,), matrix),
                Neuron(
                    f"n{k}", (f"w{k}",), (per_layer,), np.array([threshold + 1]), Reset("value"),
                    leak=Leak(np.array(4096 - decay_v), 12, "toward_zero"),
                    current=Leak(np.array(4095 - decay_u), 12, "toward_zero"),
                    input_shift=shift, state_range=TWENTY_FOUR, current_range=TWENTY_FOUR,
                ),
            ]  # fmt: skip
        network = IntegerNetwork("loihi", (*nodes, Output("out", (f"n{layers - 1}",))))
        raster = (rng.random((steps, per_layer)) < 0.08).astype(np.int64)
        step, index = np.nonzero(raster)
        numbers = {"layers": layers, "steps": steps, "size": per_layer, "inputs": per_layer,
                   "threshold": threshold, "decay_u": decay_u, "decay_v": decay_v}  # fmt: skip
        job |= {"step": step, "index": index} | {n: np.array(v) for n, v in numbers.items()}
        found = peer_run(folder, "nengo-loihi", job)
        if isinstance(found, str):
            print(f"nengo-loihi: skipped: {found}")
            return
        mine, seconds = ours(network, raster)
        wrong = sum(int((found[f"spikes{k}"] != mine[f"n{k}"]).sum()) for k in range(layers))
        spikes = sum(int(raster.sum()) for raster in mine.values())
        size = f"{layers} x {per_layer}, {steps} steps"
        show("nengo-loihi", size, wrong, spikes, float(found["seconds"]), seconds)


def xylosim(folder: Path) -> None:
    """16 - 1000 - 8 with Xylo's neurons, in the range in which every decay is one per step.

    Xylo takes max(x >> dash, 1) off a state; below 2^dash that is 1 towards zero, which is a leak
    of (2^dash - 1) / 2^dash rounded toward zero.  Its current decays after the input was added, and
    what is left goes to the membrane: here a population that sends its decayed value by a table.
    """
    rng = np.random.default_rng(0)
    hidden, outputs, steps, dash, top = 1000, 8, 400, 6, 63
    # Every neuron gets less than what its current loses, so that it stays below 2^dash.
    w_in = rng.permuted(np.tile([4, 3, 1, -1, -2, *[0] * 11], (hidden, 1)), axis=1).T
    w_out = rng.permuted(np.tile([3, 2, 1, -2, -2, *[0] * (hidden - 5)], (outputs, 1)), axis=1).T
    raster = (rng.random((steps, 16)) < 0.11).astype(np.int64)
    decayed = np.arange(-top, top + 1)
    decayed -= np.sign(decayed)
    ladder = np.arange(1, top + 1)

    def current(name: str, source: str, size: int) -> Neuron:
        return Neuron(
            name, (source,), (size,), ladder, Reset("none"), negative_thresholds=ladder,
            leak=Leak(np.array((1 << dash) - 1), dash, "toward_zero"), emission=decayed,
        )  # fmt: skip

    def membrane(name: str, source: str, size: int, threshold: int, levels: int) -> Neuron:
        steps_up = threshold * np.arange(1, levels + 1)
        return Neuron(
            name, (source,), (size,), steps_up, Reset("subtract", np.array(threshold)),
            leak=Leak(np.array((1 << 15) - 1), 15, "toward_zero"),
        )  # fmt: skip

    def straight(name: str, source: str, size: int) -> Linear:
        unit = np.arange(size)
        return Linear(
            name,
            (source,),
            Sparse(np.arange(size + 1), unit, np.ones(size, np.int64), size, (size,)),
        )

    network = IntegerNetwork(
        "xylo",
        (
            Input("x", (16,), events(0, 1)),
            Linear("w", ("x",), Dense(w_in.T)),
            current("i", "w", hidden), straight("e", "i", hidden),
            membrane("h", "e", hidden, 20, 31),
            Linear("v", ("h",), Dense(w_out.T)),
            current("j", "v", outputs), straight("f", "j", outputs),
            membrane("o", "f", outputs, 12, 1),
            Output("out", ("o",)),
        ),
    )  # fmt: skip
    job = {
        "w_in": w_in, "w_out": w_out, "raster": np.concatenate([raster, np.zeros((1, 16), int)]),
        "threshold": np.array(20), "threshold_out": np.array(12), "dash_mem": np.array(15),
        "dash_syn": np.array(dash),
    }  # fmt: skip
    found = peer_run(folder, "xylosim", job)
    if isinstance(found, str):
        print(f"xylosim: skipped: {found}")
        return
    if int(found["largest"]) >= top:
        print(f"xylosim: a current of {int(found['largest'])} leaves the range that is compared")
    mine, seconds = ours(network, raster)
    wrong = int((found["hidden"][:steps] != mine["h"]).sum())
    wrong += int((found["out"][1 : steps + 1] != mine["o"]).sum())  # outputs come a step later
    spikes = int(mine["h"].sum() + mine["o"].sum())
    show("xylosim", f"16 - {hidden} - {outputs}, {steps} steps", wrong, spikes,
         float(found["seconds"]), seconds)  # fmt: skip


def main() -> None:
    """All peers, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for environments; kept")
    parser.add_argument("--only", choices=sorted(PEERS))
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name, bench in (("nengo-loihi", nengo_loihi), ("xylosim", xylosim)):
        if chosen.only in (None, name):
            bench(chosen.folder)


if __name__ == "__main__":
    main()
