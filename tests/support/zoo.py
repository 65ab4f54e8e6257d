"""The zoo: one small network of every structure in the literature, on numbers a grid can hold.

Weights are random multiples of 2^-4, so that float64 arithmetic is exact and the integer network
must reproduce every spike and logit.  Layer names say what a layer is; every network has one
input "in" and one output "out".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.real_nets import neuron

from snnc.ir.arrays import Shape
from snnc.ir.network import Network
from snnc.ir.nodes import (
    Add,
    Bias,
    Delay,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Scale,
)
from snnc.ir.real_neuron import RealAdaptation
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense, Sparse

LIF: dict[str, Any] = {"decay": 0.5, "gain": 0.5, "reset": "zero"}  # SpikingJelly's default
SOFT: dict[str, Any] = {"reset": "subtract"}


class Make:
    """Writes a network layer by layer; every method returns the name of what it made."""

    def __init__(self, name: str, shape: Shape, kind: ValueType = BIN, seed: int = 0) -> None:
        self.name, self.rng = name, np.random.default_rng(seed)
        self.nodes: list[Any] = [Input("in", shape, kind)]
        self.shapes: dict[str, Shape] = {"in": shape}

    def put(self, node: Any, shape: Shape) -> str:
        self.nodes.append(node)
        self.shapes[node.name] = shape
        return str(node.name)

    def fresh(self, stem: str) -> str:
        return f"{stem}{len(self.nodes)}"

    def weights(self, *shape: int, spread: int = 14) -> Any:
        """Multiples of 1/16, more positive than negative, so that something fires."""
        return self.rng.integers(-spread // 2, spread + 1, shape) / 16

    def dense(self, x: str, out: int) -> str:
        values = self.weights(out, *self.shapes[x])
        return self.put(Linear(self.fresh("fc"), (x,), Dense(values)), (out,))

    def conv(self, x: str, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> str:
        channels, *extent = self.shapes[x]
        axes = len(extent)
        pad, name = kernel // 2, self.fresh("conv")
        values = self.weights(out, channels // groups, *(kernel,) * axes, spread=10)
        weights = Conv(values, (stride,) * axes, ((pad, pad),) * axes, (1,) * axes, groups)
        return self.put(Linear(name, (x,), weights), weights.output_shape(name, self.shapes[x]))

    def norm(self, x: str, signs: bool = False) -> str:
        """Batch-norm with factors that are powers of two and biases on the grid."""
        shape = self.shapes[x]
        column = (-1, *(1,) * (len(shape) - 1))
        gamma = 2.0 ** self.rng.integers(0, 2, shape[0])
        if signs:
            gamma *= self.rng.choice([-1.0, 1.0], shape[0])
        beta = self.weights(shape[0], spread=6)
        scaled = self.scale(x, gamma.reshape(column))
        return self.put(Bias(self.fresh("bias"), (scaled,), beta.reshape(column)), shape)

    def scale(self, x: str, factor: Any) -> str:
        values = np.asarray(factor, float)
        return self.put(Scale(self.fresh("scale"), (x,), values), self.shapes[x])

    def spike(self, x: str, **changes: Any) -> str:
        shape = self.shapes[x]
        return self.put(neuron(self.fresh("n"), x, shape, **{**LIF, **changes}), shape)

    def add(self, *x: str) -> str:
        return self.put(Add(self.fresh("add"), x), self.shapes[x[0]])

    def mul(self, a: str, b: str) -> str:
        return self.put(Mul(self.fresh("mul"), (a, b)), self.shapes[a])

    def matmul(self, a: str, b: str, ta: bool = False, tb: bool = False) -> str:
        left, right = self.shapes[a], self.shapes[b]
        shape = (*left[:-2], left[-1 if ta else -2], right[-2 if tb else -1])
        return self.put(MatMul(self.fresh("matmul"), (a, b), ta, tb), shape)

    def inverted(self, x: str) -> str:
        """1 - x."""
        minus = self.scale(x, -1.0)
        return self.put(Bias(self.fresh("not"), (minus,), np.ones(())), self.shapes[x])

    def pool(self, x: str, op: Any, kernel: int = 2, stride: int = 2, pad: int = 0) -> str:
        axes = len(self.shapes[x]) - 1
        node = Pool(self.fresh(op), (x,), op, (kernel,) * axes, (stride,) * axes,
                    ((pad, pad),) * axes)  # fmt: skip
        name = self.put(node, node.output_shape(self.shapes[x]))
        return self.scale(name, 1 / kernel**axes) if op == "sum" else name

    def reduce(self, x: str, op: Any, axis: int) -> str:
        shape = self.shapes[x]
        out = (*shape[:axis], 1, *shape[axis + 1 :])
        return self.put(Reduce(self.fresh("reduce"), (x,), op, (axis,)), out)

    def over_time(self, x: str, steps: int) -> str:
        """The sum over all steps of the sample."""
        node = Reduce(self.fresh("whole"), (x,), "sum", (), steps)
        return self.put(node, self.shapes[x])

    def index(self, x: str, take: Callable[[Any], Any]) -> str:
        """A gather given as a NumPy expression of element numbers (-1 = zero)."""
        index = take(np.arange(int(np.prod(self.shapes[x]))).reshape(self.shapes[x]))
        node = Index(self.fresh("index"), (x,), index.shape, index)
        return self.put(node, index.shape)

    def concat(self, a: str, b: str) -> str:
        left, right = self.shapes[a], self.shapes[b]
        shape = (left[0] + right[0], *left[1:])
        return self.put(Index(self.fresh("cat"), (a, b), shape), shape)

    def delay(self, x: str, steps: int) -> str:
        return self.put(Delay(self.fresh("delay"), (x,), steps), self.shapes[x])

    def head(self, x: str, classes: int = 5) -> Network:
        """Flatten, dense, and a readout of the sums."""
        flat = self.index(x, lambda i: i.reshape(-1))
        self.put(Output("out", (self.dense(flat, classes),)), (classes,))
        return Network(self.name, tuple(self.nodes))


def fc_if() -> Network:
    m = Make("fc-IF soft", (16,))
    hidden = m.spike(m.dense("in", 12), decay=1.0, gain=1.0, reset="subtract")
    return m.head(hidden)


def cnn(name: str, kind: ValueType = BIN, **changes: Any) -> Network:
    """Three convolutions with batch-norm and the given neuron."""
    m = Make(name, (1, 6, 6), kind)
    x = m.spike(m.norm(m.conv("in", 4)), **changes)
    x = m.spike(m.norm(m.conv(x, 6, stride=2)), **changes)
    x = m.spike(m.norm(m.conv(x, 6, stride=2)), **changes)
    return m.head(x)


def sew(name: str, join: str) -> Network:
    """Spike-element-wise residuals: counts (ADD) or bits (AND, IAND), with both kinds of pool."""
    m = Make(name, (1, 8, 8))
    x = m.spike(m.norm(m.conv("in", 4)))
    for pool in ("max", "sum"):
        y = m.spike(m.norm(m.conv(m.spike(m.norm(m.conv(x, 4))), 4)))
        other = m.inverted(y) if join == "iand" else y
        x = m.add(x, y) if join == "add" else m.mul(x, other)
        x = m.pool(x, pool)
    return m.head(x)


def aap() -> Network:
    """IAND blocks with an auxiliary sum beside them that no output reads."""
    m = Make("IAND + AAP", (1, 6, 6))
    x = m.spike(m.norm(m.conv("in", 4)))
    side = x
    for _ in range(2):
        y = m.spike(m.norm(m.conv(x, 4)))
        side = m.add(side, m.conv(y, 4))
        x = m.mul(x, m.inverted(y))
    m.norm(side)
    return m.head(x)


def membrane_shortcut() -> Network:
    """MS-ResNet with an EMS block: the residual stream and its maximum are membrane currents."""
    m = Make("MS-ResNet / EMS", (1, 8, 8))
    stream = m.norm(m.conv("in", 4))
    inner = m.norm(m.conv(m.spike(stream), 4))
    stream = m.add(m.norm(m.conv(m.spike(inner), 4)), stream)
    main = m.norm(m.conv(m.spike(stream), 6, stride=2))
    main = m.norm(m.conv(m.spike(main), 6))
    shortcut = m.norm(m.conv(m.spike(m.pool(stream, "max")), 6, kernel=1))
    return m.head(m.spike(m.add(main, shortcut), decay=0.25, gain=1.0, comparator=">"))


def spike_yolo() -> Network:
    """I-LIF, a RepConv written out (1x1, pad with the bias, depthwise, 1x1), pools, a neck."""
    counts: dict[str, Any] = {"decay": 0.25, "gain": 1.0, "reset": "subtract",
                              "multi_spike": 4, "rounding": "half_even",
                              "threshold": 4.0}  # fmt: skip
    m = Make("SpikeYOLO neck", (1, 8, 8), ValueType("cnt", 4))
    x = m.spike(m.conv("in", 4), **counts)
    y = m.norm(m.conv(x, 4, kernel=1))
    beta = m.nodes[-1].bias
    inside = m.index(y, lambda i: np.pad(i, ((0, 0), (1, 1), (1, 1)), constant_values=-1))
    frame = np.pad(np.zeros((4, 8, 8)), ((0, 0), (1, 1), (1, 1)), constant_values=1.0) * beta
    padded = m.put(Bias(m.fresh("frame"), (inside,), frame), (4, 10, 10))
    kernel = Conv(m.weights(4, 1, 3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 4)
    depthwise = m.put(Linear(m.fresh("dw"), (padded,), kernel), (4, 8, 8))
    x = m.spike(m.norm(m.conv(depthwise, 4, kernel=1)), **counts)
    small = m.spike(m.norm(m.conv(x, 4, stride=2)), **counts)
    stages = [m.norm(m.conv(small, 4, kernel=1))]
    for _ in range(2):
        stages.append(m.pool(stages[-1], "max", kernel=3, stride=1, pad=1))
    pooled = m.spike(m.concat(m.concat(stages[0], stages[1]), stages[2]), **counts)
    up = m.index(m.spike(m.norm(m.conv(pooled, 4, kernel=1)), **counts),
                 lambda i: i.repeat(2, 1).repeat(2, 2))  # fmt: skip
    x = m.spike(m.norm(m.conv(m.concat(up, x), 6, stride=2)), **counts)
    return m.head(x)


def tokens(m: Make, x: str, heads: int) -> str:
    """(channels, h, w) to (heads, tokens, channels / heads)."""
    return m.index(x, lambda i: i.reshape(heads, i.shape[0] // heads, -1).swapaxes(1, 2))


def attention(name: str, kind: str, joint: int = 0, **changes: Any) -> Network:
    """Stem, one attention block and one MLP block on a membrane stream.

    ``joint``: Hamming attention sees the tokens of so many steps, all there are.
    """
    m = Make(name, (1, 8, 8))
    heads, width = 2, 8
    x = m.spike(m.norm(m.conv("in", 4)), **changes)
    stream = m.pool(m.norm(m.conv(x, width)), "max")
    spikes = m.spike(stream, **changes)
    q, k, v = (
        tokens(m, m.spike(m.norm(m.conv(spikes, width, kernel=1)), **changes), heads)
        for _ in range(3)
    )
    half = {**changes, "threshold": changes.get("threshold", 1.0) / 2}
    if kind == "sdsa1":
        kv = m.spike(m.reduce(m.mul(k, v), "sum", 1), **half)
        wide = m.index(kv, lambda i: i.repeat(16, 1))
        y = m.mul(q, wide)
    else:
        if kind == "hamming":
            shifted = [
                m.put(Bias(m.fresh("b"), (m.scale(x, 2.0),), -np.ones(())), m.shapes[x])
                for x in (q, k)
            ]
            kv = m.matmul(shifted[1], v, ta=True)
            if joint:
                kv = m.over_time(kv, joint)
            y = m.scale(m.matmul(shifted[0], kv), 1 / 8)
        elif kind == "ssa":
            y = m.scale(m.matmul(m.matmul(q, k, tb=True), v), 0.125)
        else:
            y = m.scale(m.matmul(q, m.matmul(k, v, ta=True)), 4**-0.5 / 4)
        y = m.spike(y, **half)
    back = m.index(y, lambda i: i.swapaxes(1, 2).reshape(width, 4, 4))
    stream = m.add(stream, m.norm(m.conv(back, width, kernel=1)))
    hidden = m.norm(m.conv(m.spike(stream, **changes), 12, kernel=1))
    stream = m.add(stream, m.norm(m.conv(m.spike(hidden, **changes), width, kernel=1)))
    return m.head(m.pool(m.spike(stream, **changes), "sum"))


def sliding_psn() -> Network:
    """Two steps of weighted input, no state, a threshold."""
    m = Make("SlidingPSN k2", (1, 6, 6))
    x = "in"
    for channels in (4, 6):
        y = m.norm(m.conv(x, channels, stride=2))
        late = m.scale(m.delay(y, 1), 0.5)
        shifted = m.put(Bias(m.fresh("b"), (m.add(y, late),), np.array(-0.0625)), m.shapes[y])
        x = m.spike(shifted, decay=0.0, gain=1.0, threshold=0.25)
    return m.head(x)


def t_rev() -> Network:
    """T-RevSNN: two levels, two sub-networks with their own weights, streams decayed by alpha."""
    m = Make("T-RevSNN", (1, 6, 6))
    memoryless: dict[str, Any] = {"decay": 0.0, "gain": 1.0, "threshold": 0.5, "comparator": ">"}
    high, low = m.conv("in", 4), m.conv("in", 4, stride=2)
    for _ in range(2):
        alpha = 2.0 ** m.rng.integers(-2, 0, (4, 1, 1))
        up = m.index(m.spike(low, **memoryless), lambda i: i.repeat(2, 1).repeat(2, 2))
        high = m.add(m.conv(m.conv(up, 4, groups=4), 4, kernel=1), m.scale(high, alpha))
        down = m.conv(m.spike(high, **memoryless), 4, stride=2)
        low = m.add(down, m.scale(low, alpha))
    return m.head(m.spike(low, **memoryless))


def experts() -> Network:
    """SEMM: spiking routers choose between spiking experts."""
    m = Make("SEMM", (1, 6, 6))
    x = m.spike(m.norm(m.conv("in", 4)))
    chosen = [
        m.mul(
            m.spike(m.norm(m.conv(x, 4, kernel=1)), threshold=0.25),
            m.spike(m.norm(m.conv(x, 4)), threshold=0.25),
        )
        for _ in range(3)
    ]
    return m.head(m.spike(m.norm(m.conv(m.add(*chosen), 4))))


def masked_dvs() -> Network:
    """Event frames, a computed temporal mask on membrane currents, IF neurons."""
    m = Make("masked DVS", (2, 6, 6))
    soft: dict[str, Any] = {"decay": 1.0, "gain": 1.0, "reset": "subtract"}
    count = m.reduce(m.reduce(m.reduce("in", "sum", 0), "sum", 1), "sum", 2)
    keep = m.spike(m.scale(count, 1 / 16), decay=0.0, gain=1.0, threshold=1.5)
    everywhere = m.index(keep, lambda i: np.broadcast_to(i, (4, 6, 6)).copy())
    x = m.spike(m.mul(everywhere, m.norm(m.conv("in", 4))), **soft)
    return m.head(m.spike(m.norm(m.conv(x, 6, stride=2)), **soft))


def voxels() -> Network:
    """E-3DSNN: a submanifold convolution is a dense one times the occupied sites."""
    m = Make("E-3DSNN", (1, 4, 4, 4))
    fire: dict[str, Any] = {"decay": 0.0, "gain": 1.0, "multi_spike": 4, "rounding": "half_up"}
    wide = m.index("in", lambda i: np.broadcast_to(i, (4, 4, 4, 4)).copy())
    x = m.spike(m.mul(wide, m.norm(m.conv("in", 4))), **fire)
    x = m.spike(m.add(m.mul(wide, m.norm(m.conv(x, 4))), m.conv(x, 4, kernel=1)), **fire)
    return m.head(m.pool(x, "sum"))


def sparse_latency() -> Network:
    """One spike per input, 10 % of the synapses, refractory LIF neurons with an LI readout."""
    m = Make("sparse latency LIF", (60,))
    for out, source in ((40, "in"), (20, "h")):
        columns = m.shapes[source][0]
        mask = m.rng.random((out, columns)) < (0.1 if out == 40 else 0.3)
        values = (m.weights(out, columns, spread=24) * mask)[mask]
        row_ptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
        weights = Sparse(row_ptr, np.nonzero(mask)[1], values, columns, (out,))
        x = m.put(Linear(m.fresh("w"), (source,), weights), (out,))
        name = "h" if out == 40 else "o"
        m.put(neuron(name, x, (out,), decay=0.75, threshold=0.625, reset="subtract",
                     refractory=2, refractory_hold=True), (out,))  # fmt: skip
    y = m.dense("o", 5)
    readout = neuron("li", y, (5,), decay=0.5, threshold=None, reset="none")
    m.put(readout, (5,))
    m.put(Output("out", ("li",)), (5,))
    return Network(m.name, tuple(m.nodes))


def recurrent() -> Network:
    """Axonal delays of 1 to 3 steps, a recurrent layer, adaptation and a synaptic filter."""
    m = Make("delay / recurrent", (12,))
    parts = [m.delay(m.dense("in", 10), steps) for steps in (1, 2, 3)]
    m.shapes["loop"] = (10,)
    back = m.delay(m.put(Linear("rec", ("loop",), Dense(m.weights(10, 10, spread=5))), (10,)), 1)
    adapt = RealAdaptation(np.array(0.5), np.array(0.5), np.array(0.75))
    total = m.add(*parts, back)
    m.put(neuron("loop", total, (10,), decay=0.5, reset="subtract", threshold=2.0,
                 adaptation=adapt), (10,))  # fmt: skip
    x = m.put(neuron("cuba", m.dense("loop", 8), (8,), decay=0.5, reset="zero",
                     current_decay=0.5, current_gain=0.5, threshold=0.125), (8,))  # fmt: skip
    return m.head(x)


@dataclass(frozen=True)
class Entry:
    """A network of the zoo, the steps of a sample, the active share of the input, weight bits.

    (Two convolutions in a row without a neuron fold into one with wide weights.)
    """

    make: Callable[[], Network]
    steps: int
    rate: float = 0.4
    bits: int = 8


TERNARY: dict[str, Any] = {"negative_spikes": 1, "reset": "subtract"}
ILIF: dict[str, Any] = {"multi_spike": 4, "rounding": "half_even", "reset": "subtract",
                        "decay": 0.25, "gain": 1.0, "threshold": 4.0}  # fmt: skip
ZOO: dict[str, Entry] = {
    "fc-IF soft": Entry(fc_if, 8),
    "cnn-LIF hard": Entry(lambda: cnn("cnn-LIF hard"), 6),
    "cnn-LIF soft": Entry(lambda: cnn("cnn-LIF soft", **SOFT), 6),
    "cnn-PLIF": Entry(lambda: cnn("cnn-PLIF", decay=0.75, gain=0.25, threshold=0.25), 6),
    "cnn-LIF v_reset": Entry(
        lambda: cnn("cnn-LIF v_reset", reset="value", reset_value=-0.25, offset=-0.125,
                    initial=-0.25), 6),
    "SEW-ADD": Entry(lambda: sew("SEW-ADD", "add"), 4),
    "SEW-AND": Entry(lambda: sew("SEW-AND", "and"), 4),
    "SEW-IAND": Entry(lambda: sew("SEW-IAND", "iand"), 4),
    "IAND + AAP": Entry(aap, 4),
    "MS-ResNet / EMS": Entry(membrane_shortcut, 4),
    "I-LIF T1 D4": Entry(lambda: cnn("I-LIF", ValueType("cnt", 4), **ILIF), 1, 0.8),
    "I-LIF T4 D4": Entry(lambda: cnn("I-LIF", ValueType("cnt", 4), **ILIF), 4, 0.8),
    "MSF D4": Entry(
        lambda: cnn("MSF", decay=0.25, gain=1.0, multi_spike=4,
                    ladder=np.arange(4) + 1.0), 4),
    "ternary LIF": Entry(lambda: cnn("ternary", **TERNARY), 4),
    "SpikeLM ternary": Entry(
        lambda: cnn("SpikeLM", decay=0.25, gain=1.0, reset="multiply", reset_factors=(0.0, 2.0),
                    negative_spikes=1, rounding="half_even", threshold=0.5), 4),
    "SlidingPSN k2": Entry(sliding_psn, 6),
    "SDT-v1 (SDSA)": Entry(lambda: attention("SDT-v1", "sdsa1"), 4),
    "SDT linear attention": Entry(lambda: attention("SDT-V2", "linear"), 4),
    "SSA": Entry(lambda: attention("SSA", "ssa"), 4),
    "SDT-V3 I-LIF T1": Entry(lambda: attention("SDT-V3", "linear", **ILIF), 1, 0.8),
    "SDHA per step": Entry(lambda: attention("SDHA", "hamming"), 4),
    "SDHA over all steps": Entry(lambda: attention("joint SDHA", "hamming", joint=3), 3),
    "SpikeYOLO neck": Entry(spike_yolo, 2, 0.8, 16),
    "T-RevSNN": Entry(t_rev, 2, bits=16),
    "SEMM": Entry(experts, 4),
    "masked DVS": Entry(masked_dvs, 10, 0.3),
    "E-3DSNN": Entry(voxels, 1, 0.3),
    "sparse latency LIF": Entry(sparse_latency, 7, 0.2),
    "delay / recurrent": Entry(recurrent, 8),
}  # fmt: skip
