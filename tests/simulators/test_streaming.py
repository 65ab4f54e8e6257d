"""Windows of a stream add up to one long sample, also after a state was saved and restored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operator_zoo import hamming, networks
from support.random_networks import Options, random_inputs, random_network

from snnc.ir.errors import InputError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Output
from snnc.ir.types import BIN
from snnc.simulators import reference
from snnc.simulators.functional.streaming import HORIZON, Stream

seeds = st.integers(0, 2**32 - 1)
RANGE = StateRange(-(2**23), 2**23 - 1)


def assert_windows_equal_a_sample(
    network: IntegerNetwork, seed: int, steps: int, cuts: list[int], saved: int
) -> None:
    """Run windows between the cuts; at ``saved`` go on in a new stream with the old state."""
    data = random_inputs(network, seed, 1, steps)
    truth = reference.run(network, data)
    stream, outputs = Stream(network), {name: [] for name in truth.outputs}
    counts = dict.fromkeys(truth.spike_counts, 0)
    spikes: dict[str, list[np.ndarray]] = {name: [] for name in truth.spikes}
    edges = sorted({0, *(c % steps for c in cuts), steps})
    for begin, end in itertools.pairwise(edges):
        if begin >= saved:
            after = Stream(network)
            after.restore(begin, {k: v.copy() for k, v in stream.state().items()}, "memory")
            stream, saved = after, steps
        found = stream.advance({name: x[:, begin:end] for name, x in data.items()})
        for name, values in found.outputs.items():
            outputs[name].append(values)
        for name, total in found.spike_counts.items():
            counts[name] += int(total[0])
        for name, e in found.spikes.items():
            spikes[name].append(np.stack([e.step + begin, e.index, e.value]))
    for name, values in truth.outputs.items():
        np.testing.assert_array_equal(np.concatenate(outputs[name], axis=1), values)
    for name, total in truth.spike_counts.items():
        assert counts[name] == total[0]
    for name, e in truth.spikes.items():
        expected = np.stack([e.step, e.index, e.value])
        np.testing.assert_array_equal(np.concatenate(spikes[name], axis=1), expected)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    steps=st.integers(1, 16),
    cuts=st.lists(st.integers(1, 15), max_size=6),
    saved=st.integers(0, 16),
    simple=st.booleans(),
)
def test_random_networks(seed: int, steps: int, cuts: list[int], saved: int, simple: bool) -> None:
    network = random_network(seed, Options(simple_only=simple))
    assert_windows_equal_a_sample(network, seed, steps, cuts, saved)


def biased(*, adaptive: bool) -> IntegerNetwork:
    """A neuron whose biases begin at steps 0, 3 and 7; refractory time makes it a general one."""
    bias = tuple(GatedBias(np.array([k + 1]), onset) for k, onset in enumerate((0, 3, 7)))
    neuron = Neuron(
        "n", ("x",), (2,), np.array([5]), Reset("subtract", np.array([5])),
        bias=bias, state_range=RANGE, refractory=2 if adaptive else 0,
    )  # fmt: skip
    return IntegerNetwork("biased", (Input("x", (2,), BIN), neuron, Output("y", ("n",))))


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("cuts", [[], [3], [2, 4, 8], list(range(12))])
def test_biases_begin_at_their_step_of_the_stream(adaptive: bool, cuts: list[int]) -> None:
    for saved in (0, 3, 4, 12):
        assert_windows_equal_a_sample(biased(adaptive=adaptive), 1, 12, cuts, saved)


@pytest.mark.parametrize("name", ["mixture", "ssa", "v3-counts", "ems", "sew-AND"])
def test_operators_of_one_step(name: str) -> None:
    network, _ = networks()[name]
    assert_windows_equal_a_sample(network, 3, 6, [1, 4], 4)


def test_operators_that_look_at_a_whole_sample_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="no end"):
        Stream(hamming(4))


def test_states_of_something_else_are_refused() -> None:
    stream = Stream(biased(adaptive=False))
    good = {name: array.copy() for name, array in stream.state().items()}
    bad = [
        {k: v for k, v in good.items() if k != "v"},
        good | {"v": good["v"][:-1]},
        good | {"v": good["v"].astype(np.float64)},
        good | {"ring_index": good["ring_index"] + 2},
        good | {"ring_index": good["ring_index"] - 1},
        good | {"ring_count": good["ring_count"] + 3},
        good | {"pending": good["pending"] + 2},
    ]
    for state in bad:
        with pytest.raises(InputError, match="not of this network"):
            stream.restore(4, state, "c.npz")
    for step in (-1, HORIZON):
        with pytest.raises(InputError, match="not of this network"):
            stream.restore(step, good, "c.npz")
    stream.restore(4, good, "c.npz")
    assert stream.step == 4
