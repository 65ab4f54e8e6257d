"""Structure of a network: names, edges, order, loops, shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from support.small_networks import linear_networks

from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import (
    Add,
    Delay,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
)
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense

X = Input("x", (2, 4, 4), BIN)


def _net(*nodes: IntegerNode) -> IntegerNetwork:
    return IntegerNetwork("t", (X, *nodes, Output("y", (nodes[-1].name,))))


def _neuron(name: str, source: str, shape: tuple[int, ...] = (2, 4, 4)) -> Neuron:
    return Neuron(name, (source,), shape, np.array([1]), Reset("value"))


@settings(max_examples=25)
@given(linear_networks())
def test_every_node_follows_its_producers_except_delays(net: IntegerNetwork) -> None:
    position = {node.name: i for i, node in enumerate(net.order)}
    assert set(position) == set(net.node)
    for node in net.order:
        if not isinstance(node, Delay):
            assert all(position[source] < position[node.name] for source in node.inputs)


def test_the_order_does_not_depend_on_the_order_of_the_file() -> None:
    nodes = (X, _neuron("b", "x"), _neuron("a", "x"), Add("s", ("a", "b")), Output("y", ("s",)))
    forward, backward = IntegerNetwork("t", nodes), IntegerNetwork("t", nodes[::-1])
    assert [n.name for n in forward.order] == [n.name for n in backward.order]


def test_a_loop_through_a_delay_is_a_network() -> None:
    net = _net(Add("s", ("x", "d")), _neuron("n", "s"), Delay("d", ("n",), 1))
    assert net.shapes["d"] == (2, 4, 4)


def test_a_loop_without_delay_is_refused_and_named() -> None:
    with pytest.raises(ModelError, match=r"^n, s: a loop without delay(.|\n)*--loop-delay"):
        _net(Add("s", ("x", "n")), _neuron("n", "s"))


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(ModelError, match="x: two nodes have the same name"):
        _net(Add("x", ("x",)))


def test_a_dangling_edge_names_both_ends() -> None:
    with pytest.raises(ModelError, match=r"ghost -> a: dangling edge(.|\n)*allowed: a, x, y"):
        _net(Add("a", ("ghost",)))


@pytest.mark.parametrize("kept", [(X,), (Output("y", ()),)])
def test_a_network_has_inputs_and_outputs(kept: tuple[Any, ...]) -> None:
    with pytest.raises(ModelError, match=r"t: the network has no (output|input)"):
        IntegerNetwork("t", kept)


KERNEL = np.ones((4, 2, 3, 3), np.int64)
SAME = ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (Linear("n", ("x",), Conv(KERNEL, (2, 1), SAME, (1, 1))), (4, 2, 4)),
        (Linear("n", ("x",), Conv(KERNEL, (1, 1), ((0, 0), (2, 2)), (1, 2))), (4, 2, 4)),
        (Pool("n", ("x",), "sum", (2, 3), (2, 1), ((0, 0), (1, 1))), (2, 2, 4)),
        (Reduce("n", ("x",), "max", (0, 2)), (1, 4, 1)),
        (MatMul("n", ("x", "x"), transpose_b=True), (2, 4, 4)),
        (Index("n", ("x",), (32,)), (32,)),
        (Index("n", ("x", "x"), (4, 4, 4)), (4, 4, 4)),
    ],
)
def test_shapes_follow_each_operator(node: IntegerNode, shape: tuple[int, ...]) -> None:
    assert _net(node).shapes["n"] == shape


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Linear("n", ("x",), Dense(np.ones((3, 5), np.int64))), r"input \(2, 4, 4\)"),
        (Linear("n", ("x",), Conv(KERNEL[:, :1], (1, 1), SAME, (1, 1))), "groups 1"),
        (Linear("n", ("x",), Conv(KERNEL, (1, 1), SAME, (9, 1))), "larger than its padded input"),
        (Pool("n", ("x",), "sum", (2, 2), (1, 1), ((2, 0), (0, 0))), "smaller than the kernel"),
        (Reduce("n", ("x",), "sum", (3,)), "no such axes"),
        (Reduce("n", ("x",), "sum", (1, 1)), "no such axes"),
        (Index("n", ("x",), (31,)), "keep the number of elements"),
        (Index("n", ("x",), (1,), np.array([32])), "does not fit its operands"),
        (Index("n", ("x",), (1,), np.array([-2])), "does not fit its operands"),
        (Mul("n", ("x",)), "takes 2 to 2 operands"),
        (Rescale("n", ("x",), np.array([1, 2, 3]), 0, "floor", 8), "does not fit the population"),
        (_neuron("n", "x", (2, 4, 3)), "the population and its input disagree"),
    ],
)
def test_operands_that_disagree_are_refused(node: IntegerNode, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        _net(node)


def test_tensors_of_different_shapes_do_not_add() -> None:
    with pytest.raises(ModelError, match="operands of different shapes"):
        _net(Index("flat", ("x",), (32,)), Add("n", ("x", "flat")))


def test_inner_extents_must_agree() -> None:
    wide = Input("x", (2, 3), BIN)
    with pytest.raises(ModelError, match="inner extents differ"):
        IntegerNetwork("t", (wide, MatMul("n", ("x", "x")), Output("y", ("n",))))


def test_real_weights_are_refused_in_an_integer_network() -> None:
    with pytest.raises(ModelError, match="n: integer weights are required"):
        _net(Index("f", ("x",), (32,)), Linear("n", ("f",), Dense(np.ones((2, 32)))))


def test_a_delay_lasts_at_least_one_step() -> None:
    with pytest.raises(ModelError, match="at least one step"):
        Delay("d", ("x",), 0)
