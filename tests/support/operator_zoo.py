"""Small integer networks with the operators of published systems, random weights.

Equations re-derived from: spike-driven transformers (Yao et al., 2023 to 2025: SDSA 1 and 3,
integer counts), spiking self-attention (Zhou et al., 2023), Hamming attention over space and time
(SpikeVideoFormer, 2025), SEW residuals (Fang et al., 2021), EMS-YOLO (Su et al., 2023), spiking
mixtures of experts (SEMM, 2024).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from support.node_list import NodeList

from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import MEMORYLESS, Leak, Neuron, Reset
from snnc.ir.nodes import (
    Add,
    Index,
    Input,
    Linear,
    Lut,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
)
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense

Shape = tuple[int, ...]
HALF = Leak(np.array(1), 1)


class Maker(NodeList):
    """Collects nodes; every method adds one and returns its name."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(np.random.default_rng(seed))

    def input(self, shape: Shape, kind: Any = BIN, name: str = "x") -> str:
        return self.put(Input(name, shape, kind), shape)

    def conv(self, name: str, x: str, out: int, k: int = 1, limit: int = 20) -> str:
        channels, *extent = self.shapes[x]
        kernel = (k,) * len(extent)
        values = self.rng.integers(-limit // 2, limit + 1, (out, channels, *kernel))
        weights = Conv(values, (1,) * len(extent), ((k // 2,) * 2,) * len(extent),
                       (1,) * len(extent))  # fmt: skip
        return self.put(Linear(name, (x,), weights), (out, *extent))

    def lif(self, name: str, x: str, threshold: int = 20, levels: int = 1) -> str:
        """Leak 1/2 and hard reset; with several levels, the stateless ladder of I-LIF."""
        ladder = threshold * np.arange(1, levels + 1)
        leak = HALF if levels == 1 else MEMORYLESS
        shape = self.shapes[x]
        return self.put(Neuron(name, (x,), shape, ladder, Reset("value"), leak=leak), shape)

    def add(self, name: str, *terms: str) -> str:
        return self.put(Add(name, terms), self.shapes[terms[0]])

    def mul(self, name: str, a: str, b: str) -> str:
        return self.put(Mul(name, (a, b)), self.shapes[a])

    def matmul(self, name: str, a: str, b: str, ta: bool = False, tb: bool = False) -> str:
        rows = self.shapes[a][-1 if ta else -2]
        columns = self.shapes[b][-2 if tb else -1]
        return self.put(MatMul(name, (a, b), ta, tb), (*self.shapes[a][:-2], rows, columns))

    def reduce(self, name: str, x: str, axes: Shape, steps: int = 0, op: Any = "sum") -> str:
        shape = tuple(1 if k in axes else n for k, n in enumerate(self.shapes[x]))
        return self.put(Reduce(name, (x,), op, axes, steps), shape)

    def index(self, name: str, x: str, index: Any) -> str:
        index = np.asarray(index)
        return self.put(Index(name, (x,), index.shape, index.reshape(-1)), index.shape)

    def broadcast(self, name: str, x: str, shape: Shape) -> str:
        size = int(np.prod(self.shapes[x]))
        return self.index(name, x, np.broadcast_to(np.arange(size).reshape(self.shapes[x]), shape))

    def scaled(self, name: str, x: str, factor: int) -> str:
        """Multiplied by a constant, as a convolution with one tap per channel."""
        channels, *extent = self.shapes[x]
        ones = (1,) * len(extent)
        values = np.full((channels, 1, *ones), factor)
        weights = Conv(values, ones, ((0, 0),) * len(extent), ones, channels)
        return self.put(Linear(name, (x,), weights), self.shapes[x])

    def heads(self, name: str, x: str, count: int) -> str:
        """(channels, tokens) as (heads, tokens, channels per head)."""
        channels, tokens = self.shapes[x]
        index = np.arange(channels * tokens).reshape(count, channels // count, tokens)
        return self.index(name, x, np.swapaxes(index, 1, 2))

    def unheads(self, name: str, x: str) -> str:
        """(heads, tokens, channels per head) as (channels, tokens)."""
        heads, tokens, channels = self.shapes[x]
        index = np.arange(heads * tokens * channels).reshape(heads, tokens, channels)
        return self.index(name, x, np.swapaxes(index, 1, 2).reshape(-1, tokens))

    def readout(self, x: str, classes: int = 4) -> None:
        """A dense layer, and its sums as the output."""
        size = int(np.prod(self.shapes[x]))
        flat = self.put(Index("flat", (x,), (size,)), (size,))
        values = self.rng.integers(-20, 21, (classes, size))
        self.put(Output("out", (self.put(Linear("head", (flat,), Dense(values)), (classes,)),)),
                 (classes,))  # fmt: skip

    def network(self, name: str) -> IntegerNetwork:
        return IntegerNetwork(name, tuple(self.nodes))


def projections(m: Maker, channels: int, tokens: int, levels: int = 1) -> tuple[str, str, str, str]:
    """A stem, and Q, K and V populations (channels, tokens) of it."""
    stem = m.lif("stem", m.conv("stem_w", m.input((channels, tokens)), channels), levels=levels)
    q, k, v = (m.lif(n, m.conv(f"{n}_w", stem, channels), levels=levels) for n in "qkv")
    return stem, q, k, v


def sdsa1(channels: int = 6, tokens: int = 5, seed: int = 0) -> IntegerNetwork:
    """q * LIF(sum over tokens of k * v), with a membrane residual behind it."""
    m = Maker(seed)
    stem, q, k, v = projections(m, channels, tokens)
    kv = m.lif("kv_lif", m.reduce("kv_sum", m.mul("kv", k, v), (1,)), 2)
    attention = m.mul("attention", q, m.broadcast("kv_all", kv, (channels, tokens)))
    stream = m.add("stream", m.conv("proj", attention, channels), m.scaled("skip", stem, 9))
    m.readout(m.lif("out_lif", stream))
    return m.network("sdsa1")


def linear_attention(
    channels: int = 6, tokens: int = 5, heads: int = 2, levels: int = 1, seed: int = 0
) -> IntegerNetwork:
    """Q (K^T V) of spikes (SSA, SDSA 3), or of counts up to ``levels`` (integer attention)."""
    m = Maker(seed)
    _, *qkv = projections(m, channels, tokens, levels)
    q, k, v = (m.heads(f"{n}_heads", n, heads) for n in qkv)
    product = m.matmul("attention", q, m.matmul("kv", k, v, ta=True))
    m.readout(m.lif("out_lif", m.unheads("joined", product), 2 * levels))
    return m.network("linear_attention")


def hamming(
    steps: int, channels: int = 4, tokens: int = 3, heads: int = 1, seed: int = 0
) -> IntegerNetwork:
    """Sum over all tokens m of all steps of (d - 2 hamming(q_n, k_m)) v_m, expanded.

    ``4 Q (K^T V) - 2 rowsum(Q) 1^T V - 2 1 (1^T K^T V) + d 1^T V``, with sums over space and time.
    """
    m = Maker(seed)
    _, *qkv = projections(m, channels, tokens)
    q, k, v = (m.heads(f"{n}_heads", n, heads) for n in qkv)
    width = channels // heads
    kv = m.reduce("kv_all", m.matmul("kv", k, v, ta=True), (), steps)
    v_all = m.reduce("v_all", v, (1,), steps)
    shape = m.shapes[q]
    four = m.scaled("four", m.matmul("qkv", q, kv), 4)
    rows = m.scaled("rows", m.matmul("qv", m.reduce("q_sum", q, (2,)), v_all), -2)
    columns = m.scaled("columns", m.broadcast("kv_sums", m.reduce("kv_sum", kv, (1,)), shape), -2)
    constant = m.scaled("constant", m.broadcast("v_sums", v_all, shape), width)
    total = m.add("hamming", four, rows, columns, constant)
    m.readout(m.lif("out_lif", m.unheads("joined", total), 6))
    return m.network("hamming")


def sew(kind: str, seed: int = 0) -> IntegerNetwork:
    """A residual block whose shortcut is joined to spikes by ADD, AND or IAND, x (1 - s)."""
    m = Maker(seed)
    x = m.lif("stem", m.conv("stem_w", m.input((1, 5, 5)), 3, 3))
    s = m.lif("block", m.conv("block_w", x, 3, 3))
    if kind == "ADD":
        joined = m.add("joined", x, s)
    elif kind == "AND":
        joined = m.mul("joined", x, s)
    else:
        inverted = m.put(Lut("not", (s,), 0, np.array([1, 0])), m.shapes[s])
        joined = m.mul("joined", x, inverted)
    m.readout(m.lif("out_lif", m.conv("out_w", joined, 2, 3)))
    return m.network(f"sew-{kind}")


def ems(seed: int = 0) -> IntegerNetwork:
    """A membrane residual stream; the shortcut is a max pool of the membrane itself."""
    m = Maker(seed)
    stem = m.conv("stem_w", m.input((1, 6, 6)), 3, 3)
    one = m.lif("one", stem)
    stream = m.add("stream", m.conv("one_w", one, 3, 3), stem)
    kernel = (2, 2)
    pooled = m.put(
        Pool("membrane_pool", (stream,), "max", kernel, kernel, ((0, 0),) * 2), (3, 3, 3)
    )
    two = m.lif("two", pooled)
    second = m.add("second", m.conv("two_w", two, 3), pooled)
    m.readout(m.lif("out_lif", second))
    return m.network("ems")


def mixture(experts: int = 3, seed: int = 0) -> IntegerNetwork:
    """Spiking experts, each gated by a spiking router; their sum is a count."""
    m = Maker(seed)
    x = m.lif("stem", m.conv("stem_w", m.input((4, 5)), 6))
    routed = []
    for e in range(experts):
        expert = m.lif(f"expert{e}", m.conv(f"expert{e}_w", x, 6))
        router = m.lif(f"router{e}", m.conv(f"router{e}_w", x, 1))
        gate = m.broadcast(f"gate{e}", router, (6, 5))
        routed.append(m.mul(f"routed{e}", expert, gate))
    m.readout(m.lif("out_lif", m.conv("out_w", m.add("experts", *routed), 4)))
    return m.network("mixture")


def networks() -> dict[str, tuple[IntegerNetwork, int]]:
    """All of them, with the steps of a sample."""
    return {
        "sdsa1": (sdsa1(), 4),
        "ssa": (linear_attention(), 4),
        "v3-counts": (linear_attention(channels=4, tokens=3, levels=4, seed=4), 2),
        **{f"hamming-T{t}": (hamming(t, seed=4), t) for t in (2, 3, 4)},
        **{f"sew-{kind}": (sew(kind), 4) for kind in ("ADD", "AND", "IAND")},
        "ems": (ems(), 4),
        "mixture": (mixture(), 4),
    }
