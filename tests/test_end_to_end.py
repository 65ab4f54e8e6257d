"""Random files through every stage: a typed refusal, or an exact, reproducible program."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nir_files import affine, conv2d, if_, lif, node, write

import snnc
from snnc.compiler.frontends import nir
from snnc.compiler.reading import nir_options
from snnc.equality import compare
from snnc.ir import artifact
from snnc.ir.errors import SnncError, VerificationError
from snnc.ir.nodes import Input
from snnc.simulators import functional
from snnc.simulators.reference.real import run_real

RESET_OFF_THE_GRID = node("IF", r=np.ones(1), v_threshold=np.full(1, 1.0), v_reset=np.full(1, -0.1))
TARGETS = ["loihi1", "loihi2", "toy-mesh", "truenorth"]


class _Net:
    """A random feedforward network with skip connections and loops, written to a file."""

    def __init__(self, seed: int, *, whole: bool = False) -> None:
        self.random, self.whole = np.random.default_rng(seed), whole
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        image = self.random.random() < 0.5
        self.add("Input", (2, 5, 4) if image else (6,), [], node("Input"))
        self.populations = list(self.nodes)
        for _ in range(self.random.integers(1, 4)):
            self.layer()
        last = self.populations[-1]
        self.add("Output", self.shapes[last], [last], node("Output"))

    def add(self, tag: str, shape: tuple[int, ...], sources: list[str], what: Any) -> str:
        name = f"{tag.lower()}{len(self.nodes)}"
        self.nodes[name] = what | ({"shape": np.array(shape)} if tag in ("Input", "Output") else {})
        self.edges += [(source, name) for source in sources]
        self.shapes[name] = shape
        return name

    def weights(self, *shape: int) -> Any:
        if self.whole:
            return self.random.integers(-3, 5, shape).astype(float)
        return self.random.normal(0.1, 0.5, shape)

    def dense(self, source: str, size: int) -> str:
        shape = self.shapes[source]
        if len(shape) > 1:
            flat = node("Flatten", start_dim=0, end_dim=-1, input_type=np.array(shape))
            shape = (int(np.prod(shape)),)
            source = self.add("flat", shape, [source], flat)
        weight = self.weights(size, shape[0])
        return self.add("affine", (size,), [source], affine(weight, self.weights(size) // 2))

    def conv(self, source: str) -> str:
        channels, rows, columns = self.shapes[source]
        size = int(self.random.integers(1, 4))
        weight = self.weights(3, channels, size, size)
        same = {"padding": size // 2, "input_shape": np.array([rows, columns])}
        shape = (3, *(n + 2 * (size // 2) - size + 1 for n in (rows, columns)))
        return self.add("conv", shape, [source], conv2d(weight, **same))

    def neuron(self, shape: tuple[int, ...]) -> Any:
        threshold = float(self.random.integers(1, 4))
        if self.whole:
            return if_(shape, threshold)
        return [if_(shape, threshold), lif(shape), lif(shape, 2.3e-4, 3.1)][
            int(self.random.integers(3))
        ]

    def layer(self) -> None:
        source = self.populations[-1]
        image = len(self.shapes[source]) == 3 and self.random.random() < 0.7
        terms = [
            self.conv(source) if image else self.dense(source, int(self.random.integers(1, 9)))
        ]
        shape = self.shapes[terms[0]]
        if len(shape) == 1 and self.random.random() < 0.5:
            skipped = self.populations[int(self.random.integers(len(self.populations)))]
            terms.append(self.dense(skipped, shape[0]))
        population = self.add("pop", shape, terms, self.neuron(shape))
        if len(shape) == 1 and self.random.random() < 0.3:
            loop = node("Linear", weight=self.weights(shape[0], shape[0]))
            self.edges.append((self.add("loop", shape, [population], loop), population))
        self.populations.append(population)

    def write(self, folder: Path, steps: int, values: str) -> tuple[Path, Path]:
        (shape,) = (self.shapes[n] for n, what in self.nodes.items() if what["type"] == "Input")
        size = (2, steps, *shape)
        x: Any = self.random.integers(0, 4, size)
        if values == "spikes":
            x = (self.random.random(size) < 0.3).astype(np.uint8)
        elif values == "real":
            x = self.random.random(size).astype(np.float32)
        np.savez(folder / "x.npz", x=x)
        return write(folder / "net.nir", self.nodes, self.edges), folder / "x.npz"


def options(seed: int, target: str, steps: int) -> snnc.CompileOptions:
    random = np.random.default_rng(seed)
    return snnc.CompileOptions(
        target=target, timesteps=steps, dt=1e-4, time_limit_s=60.0,
        dialect=str(random.choice(["auto", "nir", "snntorch", "spikingjelly", "sinabs"])),
        reset=[None, "zero", "subtract"][int(random.integers(3))],
        threshold=[None, ">", ">="][int(random.integers(3))],
        weight_bits=int(random.choice([8, 8, 4])), chips=int(random.choice([1, 1, 2])),
    )  # fmt: skip


@settings(
    max_examples=8, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(TARGETS), st.integers(1, 8),
    st.sampled_from(["spikes", "counts", "real"]), st.booleans(),
)  # fmt: skip
def test_any_file_is_refused_or_runs_exactly(
    tmp_path: Path, seed: int, target: str, steps: int, values: str, calibrated: bool
) -> None:
    model, data = _Net(seed).write(tmp_path, steps, values)
    first, second = tmp_path / "first.snnc", tmp_path / "second.snnc"
    chosen, calibration = options(seed, target, steps), data if calibrated else None
    try:
        snnc.compile(model, chosen, calibration=calibration, output=first)
    except VerificationError:  # the mapper's result must never need refusing
        raise
    except SnncError:
        return
    assert snnc.verify(first, samples=2).ok
    deployment = artifact.read(first)
    artifact.write(deployment, second)
    assert first.read_bytes() == second.read_bytes()
    if calibrated:
        assert snnc.run(first, data, compare=2).as_dict()["mismatches"] == 0
        snnc.compile(model, chosen, calibration=calibration, output=second)
        assert first.read_bytes() == second.read_bytes()
    dense = {
        n.name: np.random.default_rng(seed).integers(n.type.low, n.type.high + 1,
                                                     (1, steps, *n.shape))
        for n in deployment.network.of_type(Input)
    }  # fmt: skip
    assert compare(deployment, dense, ("functional", "cycle"), "dense").total == 0


@settings(
    max_examples=8, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(st.integers(0, 2**32 - 1), st.sampled_from(TARGETS[:3]), st.integers(1, 8))
def test_a_network_without_reported_approximation_spikes_as_trained(
    tmp_path: Path, seed: int, target: str, steps: int
) -> None:
    model, data = _Net(seed, whole=True).write(tmp_path, steps, "counts")
    chosen = options(seed, target, steps)
    try:
        deployment = snnc.compile(model, chosen, calibration=data).deployment
    except SnncError:
        return
    assert deployment is not None
    if deployment.report["approximations"]:
        return
    trained = nir.read(model, nir_options(chosen))
    (name,) = (n.name for n in trained.of_type(Input))
    x = np.load(data)["x"]
    real = run_real(trained, {name: x.astype(float)})
    whole = functional.run(deployment.network, {name: x})
    for population, counts in whole.spike_counts.items():
        if population in real.spike_counts:
            np.testing.assert_array_equal(counts, real.spike_counts[population])


def one_layer(tmp_path: Path, weight: Any, bias: Any, neuron: Any) -> list[str]:
    """What the report says was approximated."""
    size = np.array([len(weight)])
    nodes = {"in": node("Input", shape=np.array([len(weight[0])])), "w": affine(weight, bias),
             "n": neuron, "out": node("Output", shape=size)}  # fmt: skip
    model = write(tmp_path / "net.nir", nodes, pairwise(nodes))
    found = snnc.compile(model, snnc.CompileOptions(timesteps=4, dialect="nir", dt=1e-4))
    assert found.deployment is not None
    return list(found.deployment.report["approximations"])


@pytest.mark.parametrize(
    ("bias", "neuron", "told"),
    [
        (0.0, if_((1,), 1.0), []),
        (0.0, lif((1,), 2e-4, 2.0), []),
        (
            0.0,
            lif((1,)),
            [
                "n: what leaks is rounded to",
                "n: the decay is off by up to",
            ],
        ),
        (0.31415926, if_((1,), 1.0), ["n: biases are off by up to"]),
        (0.0, RESET_OFF_THE_GRID, ["n: resets are off by up to"]),
    ],
)
def test_every_rounding_is_told_in_words(
    tmp_path: Path, bias: float, neuron: Any, told: list[str]
) -> None:
    lines = one_layer(tmp_path, [[1.0, -2.0]], [bias], neuron)
    assert bool(lines) == bool(told), lines
    for start in told:
        assert any(line.startswith(start) for line in lines), lines
