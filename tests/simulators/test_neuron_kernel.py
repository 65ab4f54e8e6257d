"""The packed kernel equals the reference neuron: spike by spike and state by state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.neurons import random_neuron

from snnc.ir.neuron import Adaptation, Leak, Neuron, Reset, StateRange
from snnc.simulators import neuron_kernel
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.operators import round_shift as reference_round

STEPS = 12


def run_both(neurons: list[Neuron], inputs: list[Any], order: Any = None) -> None:
    """Step populations with the reference and the kernel; ``inputs`` are [steps, neurons]."""
    packed = neuron_kernel.pack(neurons)
    size = packed.size
    order = np.arange(size) if order is None else order
    packed = packed.take(order)
    state = neuron_kernel.new_state(packed)
    reference = [PopulationState(neuron, 1) for neuron in neurons]
    index, value = np.zeros(size, np.int32), np.zeros(size, np.int64)
    for t in range(STEPS):
        emitted = np.concatenate(
            [
                p.step(x[t].reshape(1, *n.shape), t).reshape(-1)
                for p, n, x in zip(reference, neurons, inputs, strict=True)
            ]
        )
        accumulated = np.concatenate([x[t] for x in inputs])[order]
        mine = np.zeros(size, np.int64)
        for first, last in ((0, size // 3), (size // 3, size)):
            part = accumulated[first:last]
            count = neuron_kernel.step(packed, state, first, last, part, t, index, value)
            mine[first + index[:count]] = value[:count]
        assert not accumulated.any()
        np.testing.assert_array_equal(mine, emitted[order], f"emitted at step {t}")
        for name in ("v", "current", "a", "q"):
            expected = np.concatenate([getattr(p, name).reshape(-1) for p in reference])
            if name == "q":  # a neuron without refractory time keeps no counter
                columns = [neuron_kernel.REFRACTORY, neuron_kernel.RECOVERY]
                used = (packed.table[packed.kind][:, columns] > 0).any(axis=1)
                expected = np.where(used, expected[order], 0)
                np.testing.assert_array_equal(state.q, expected)
            elif name == "current":
                used = packed.table[packed.kind, neuron_kernel.HAS_CURRENT] > 0
                np.testing.assert_array_equal(state.current[used], expected[order][used])
            else:
                np.testing.assert_array_equal(getattr(state, name), expected[order], f"{name} {t}")


def draws(rng: np.random.Generator, size: int, scale: int) -> Any:
    values = rng.integers(-scale // 2, scale + 1, (STEPS, size))
    return np.where(rng.random(values.shape) < 0.6, values, 0)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1, 8, 100, 5000, 2**20]))
def test_random_populations_advance_as_in_the_reference(seed: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    neurons = [
        random_neuron(rng, f"n{k}", shape=shape, scale=scale, readout=k == 1)
        for k, shape in enumerate([(7,), (4,), (3, 2, 2), (2, 5)])
    ]
    inputs = [draws(rng, n.size, scale) for n in neurons]
    order = rng.permutation(sum(n.size for n in neurons))
    run_both(neurons, inputs, order)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("kind", ["subtract", "value", "none", "multiply"])
def test_extreme_numbers_wrap_and_clip_as_in_the_reference(overflow: Any, kind: Any) -> None:
    rng = np.random.default_rng(3)
    neuron = Neuron(
        "n", ("x",), (64,), rng.integers(0, 2**60, (1, 64)), Reset(kind, np.array(2**61), -1, 3),
        leak=Leak(np.array(2**30 - 1), 30, "half_even"),
        current=Leak(np.array(3), 1, "toward_zero"),
        negative_thresholds=rng.integers(0, 2**60, (1, 64)),
        adaptation=Adaptation("decay", np.array(2**50), Leak(np.array(5), 2), beta=3, beta_shift=1),
        state_range=StateRange(-(2**62) + 1, 2**62 - 1, overflow),
        current_range=StateRange(-(2**61), 2**61, overflow),
    )  # fmt: skip
    run_both([neuron], [rng.integers(-(2**61), 2**61, (STEPS, 64))])


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("kind", ["value", "subtract"])
def test_a_refractory_neuron_stays_silent(kind: Any, hold: bool) -> None:
    neuron = Neuron(
        "n", ("x",), (1,), np.array([4]), Reset(kind, np.array(2)), refractory=3,
        refractory_hold=hold,
    )  # fmt: skip
    run_both([neuron], [np.full((STEPS, 1), 5)])


@pytest.mark.parametrize("name", ["floor", "toward_zero", "half_even"])
def test_rounding_equals_the_reference_over_a_range(name: Any) -> None:
    mode = neuron_kernel._ROUNDINGS[name]
    numbers = np.arange(-70, 71)
    for shift in range(6):
        mine = [neuron_kernel.round_shift.py_func(int(x), shift, mode) for x in numbers]
        np.testing.assert_array_equal(mine, reference_round(numbers, shift, name))


def test_parameters_per_channel_are_stored_once_per_channel() -> None:
    neuron = random_neuron(np.random.default_rng(0), shape=(4, 8, 8), simple=True)
    plain = replace(
        neuron, thresholds=np.arange(1, 5).reshape(1, 4, 1, 1), bias=(), initial=np.array(0),
        leak=Leak(np.array(1)), reset=Reset("value"),
    )  # fmt: skip
    packed = neuron_kernel.pack([plain])
    assert packed.values.size == 4 * (neuron_kernel.LADDERS + 1)
    assert packed.size == 256


def test_no_neurons_pack_to_nothing() -> None:
    packed = neuron_kernel.pack([])
    assert packed.size == 0
    assert neuron_kernel.new_state(packed).v.size == 0
