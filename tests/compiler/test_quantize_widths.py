"""Weight widths by layer, and widths of few bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.real_nets import dense_net
from support.small_target import small_target
from support.zoo import cnn

from snnc.compiler.quantize import Quantized, QuantizeOptions, parse_widths, quantize
from snnc.compiler.quantize.widths import width_of
from snnc.ir.errors import OptionError
from snnc.ir.network import Network
from snnc.ir.nodes import Linear
from snnc.ir.target import Target

WIDE = small_target(core={"weight": {"bits": (2, 4, 8, 16)}}, neuron={"reset": {"zero": {}}})


def done(network: Network, target: Target = WIDE, **options: Any) -> Quantized:
    return quantize(network, target, QuantizeOptions(timesteps=4, **options))


def largest(result: Quantized) -> dict[str, int]:
    return {n.name: int(np.abs(n.weights.values).max()) for n in result.network.of_type(Linear)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (8, (8, {})),
        ("4", (4, {})),
        ("conv1=4,fc=8", (8, {"conv1": 4, "fc": 8})),
        ("6, a.b=2", (6, {"a.b": 2})),
    ],
)
def test_widths_are_read(text: Any, expected: Any) -> None:
    assert parse_widths(text) == expected


@pytest.mark.parametrize("text", ["", "x", "=4", "a=b", "4,,5", "-3"])
def test_what_is_no_width_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="not a weight width"):
        parse_widths(text)


def test_the_longest_name_decides_and_two_of_equal_length_must_agree() -> None:
    names = ("n1", "block.conv", "block.skip@n1")
    assert width_of(names, {"block": 4, "block.conv": 2}) == (2, {"block", "block.conv"})
    assert width_of(names, {"block.skip": 3}) == (3, {"block.skip"})
    assert width_of(names, {"blo": 3}) == (None, set())
    with pytest.raises(OptionError, match="share one grid"):
        width_of(names, {"block.conv": 2, "block.skip": 3})


def real_weights(network: Network, seed: int = 0) -> Network:
    """The same structure with weights on no grid."""
    rng = np.random.default_rng(seed)
    nodes = [
        Linear(n.name, n.inputs, type(n.weights)(**{**vars(n.weights),
               "values": rng.normal(size=n.weights.values.shape)}))
        if isinstance(n, Linear) else n for n in network.nodes
    ]  # fmt: skip
    return Network(network.name, tuple(nodes), network.assumptions)


def test_named_layers_get_their_width_and_the_report_says_so() -> None:
    network = real_weights(cnn("net"))
    first, second = (n.name for n in network.of_type(Linear)[:2])
    population = next(n.name for n in network.nodes if n.inputs and n.name.startswith("n"))
    result = done(network, layer_bits={first: 2, second: 4})
    sizes = largest(result)
    assert sizes[first] == 1
    assert sizes[second] == 7
    assert max(sizes.values()) == 127
    assert result.report["layers"][population]["weight_bits"] == 2
    assert largest(done(network, layer_bits={population: 2})) == largest(
        done(network, layer_bits={first: 2})
    )


def test_sixteen_bits_only_where_the_target_has_them() -> None:
    network = dense_net(np.random.default_rng(1).normal(size=(4, 6)), reset="zero")
    assert largest(done(network, weight_bits=16))["w"] > 1 << 13
    with pytest.raises(OptionError, match="no weights this wide"):
        done(network, small_target(), weight_bits=16)
    with pytest.raises(OptionError, match="no weights this wide"):
        done(network, small_target(), layer_bits={"w": 9})
    with pytest.raises(OptionError, match="no such layer"):
        done(network, layer_bits={"nowhere": 4})


def test_one_bit_is_the_sign_and_a_missing_synapse_stays_missing() -> None:
    weights = np.random.default_rng(2).normal(size=(5, 40))
    weights[:, ::7] = 0
    result = done(dense_net(weights, reset="zero"), weight_bits=1)
    (node,) = result.network.of_type(Linear)
    assert np.array_equal(node.weights.values, np.sign(weights))
    steps = np.array(result.report["layers"]["n"]["weight_grid"])
    mean = np.array([np.abs(row[row != 0]).mean() for row in weights])
    np.testing.assert_allclose(steps, [mean.min(), mean.max()], rtol=1e-9)


@pytest.mark.parametrize("bits", [2, 3])
def test_few_bits_clip_where_that_lowers_the_error(bits: int) -> None:
    weights = np.random.default_rng(3).normal(size=(5, 400))
    layer = done(dense_net(weights, reset="zero"), weight_bits=bits).report["layers"]["n"]
    top = np.abs(weights).max(axis=1, keepdims=True) / ((1 << (bits - 1)) - 1)
    plain = np.mean((np.rint(weights / top) * top - weights) ** 2)
    assert layer["weight_mse"] < 0.7 * plain
    assert layer["saturated_weights"] > 0
