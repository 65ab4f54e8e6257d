"""Resource formulas against the documents they come from."""

import numpy as np
import pytest

from snnc.backends.targets import load
from snnc.backends.targets.capacity import axon_cost, core_usage, index_bits, weight_bits

LOIHI = load("loihi1")
SYNAPSES = LOIHI.core.resources["synapse_mem"]
CORE = {
    "n_neurons": 112, "n_compartments": 112, "n_axons_in": 1024, "n_axons_out": 112,
    "n_synapses": 1024 * 112, "max_fan_in": 1024, "max_targets_per_neuron": 1, "weight_bits": 8,
    "state_bytes": 672,
}  # fmt: skip


def dense_bits(axons: int, f: int, bits: int = 8, delay: int = 0) -> int:
    cost = axon_cost(SYNAPSES, "dense", *(np.full(axons, n) for n in (f, bits, delay, 0)))
    return int(cost.sum())


def block_by_block(f: int, bits: int) -> int:
    """The accounting in words: blocks of 64 synapses, 10 header bits each, 64-bit words."""
    total = 0
    while f > 0:
        total += -(-(min(f, 64) * bits + 10) // 64) * 64
        f -= 64
    return total


def test_loihi_dense_rows_fill_a_core_exactly_up_to_118_targets() -> None:
    assert dense_bits(1024, 112) == SYNAPSES.capacity.v == 1_048_576
    assert dense_bits(1024, 118) == 1_048_576
    assert dense_bits(1024, 119) > 1_048_576


def test_loihi_784_by_128_takes_86_percent_of_a_core() -> None:
    assert dense_bits(784, 128) == 903_168


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 8, 11])
def test_loihi_formula_equals_the_accounting_in_words(bits: int) -> None:
    f = np.arange(0, 300)
    zero = np.zeros_like(f)
    for encoding, index in (("dense", 0), ("sparse", 7)):
        cost = axon_cost(SYNAPSES, encoding, f, zero + bits, zero, zero + index)  # type: ignore[arg-type]
        assert cost.tolist() == [block_by_block(n, bits + index) for n in f.tolist()]


def test_a_delay_field_and_index_bits_add_to_every_synapse() -> None:
    assert dense_bits(1, 64, 8, 3) == block_by_block(64, 11)


def test_a_core_is_ok_exceeded_or_unchecked() -> None:
    usage = core_usage(LOIHI, CORE, {"synapse_mem": 1_048_576})
    kinds = {name: use.kind for name, use in usage.items()}
    assert kinds == {
        "compartments": "ok",
        "synapse_mem": "ok",
        "input_axons": "ok",
        "output_axons": "ok",
        "routing_mem": "unchecked",
    }
    over = core_usage(LOIHI, {**CORE, "n_axons_in": 4097}, {"synapse_mem": 1_048_577})
    assert over["synapse_mem"].kind == over["input_axons"].kind == "exceeded"


def test_loihi2_memory_is_unchecked_until_its_lower_bound_is_exceeded() -> None:
    target = load("loihi2")
    usage = core_usage(target, CORE)
    assert usage["neurons"].kind == "ok"
    assert usage["synapse_mem"].kind == usage["flexible_mem"].kind == "unchecked"
    assert usage["synapse_mem"].used.tolist() == [1024 * 112]
    assert usage["input_axons"].kind == "unchecked"
    assert core_usage(target, {**CORE, "n_synapses": 131_073})["synapse_mem"].kind == "exceeded"


def test_counts_may_be_arrays_over_cores() -> None:
    counts = {name: np.array([n, 2 * n]) for name, n in CORE.items()}
    assert core_usage(load("truenorth"), counts)["axons"].exceeded.tolist() == [True, True]
    assert core_usage(load("truenorth"), counts)["neurons"].exceeded.tolist() == [False, False]


def test_a_narrow_loihi_weight_cannot_sit_at_a_small_shift() -> None:
    assert weight_bits(LOIHI, 127, 0) == 8
    assert weight_bits(LOIHI, 128, 0) is None
    assert weight_bits(LOIHI, 7, 0) == 8
    assert weight_bits(LOIHI, 7, 4) == 4
    assert weight_bits(LOIHI, 1, 14) == 2


def test_index_fields_have_the_widths_of_the_chip() -> None:
    assert index_bits(LOIHI, np.array([1, 64, 65, 1024])).tolist() == [6, 6, 7, 10]


def test_every_weight_at_every_shift_is_a_loihi_mantissa_and_exponent() -> None:
    """w << F equals an even mantissa in [-254, 254] times 2^(6 + exponent), exponent in -7..7."""
    low, high = LOIHI.neuron.input_shift
    for shift in range(low, high + 1):
        exponent = shift - 7
        assert -7 <= exponent <= 7
        for weight in range(-127, 128):
            assert (2 * weight) * 2.0 ** (6 + exponent) == weight << shift
