"""Lava processes for what Lava's own library lacks, bit-accurate, for simulation on a CPU.

Standalone: NumPy and lava-nc 0.10.0 only (on Python 3.11 and newer call ``lava_import.prepare()``
first), Python 3.10 syntax.  Each process has one model, tagged ``fixed_pt``, in 64-bit integers.

============== ================================================================================
IntegerNeuron  one neuron for the whole family: threshold ladders in both directions, thresholds,
               leaks, biases and resets per neuron, soft reset, refractory time, adaptation,
               biases that start late, readout of the potential, changes of an activation
Axon           delays spikes by any number of steps and passes them only inside a sample
WideSparse     synapses whose weights or sums need more than Lava's widths
Sparse32       the same with sums that wrap at 32 bits
Operator       maximum pool, sum and maximum over axes, products, matrix products, lookup, rescale
EventRecorder  writes spikes as events to a file while they happen
============== ================================================================================

All take a ``window``, the steps in which a sample lives: ``first`` (time step of its first logical
step, from 1), ``steps`` (logical steps), ``period`` (time steps per logical step) and ``stride``
(time steps from one sample to the next).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Window:
    """Where a time step lies: in which sample, in which of its logical steps, or outside."""

    def __init__(self, first: int, steps: int, period: int, stride: int) -> None:
        self.first, self.steps, self.period, self.stride = first, steps, period, stride

    def locate(self, time_step: int) -> tuple[int, int] | None:
        """(sample, logical step), or None where the process rests."""
        sample, within = divmod(time_step - self.first, self.stride)
        step, phase = divmod(within, self.period)
        return None if sample < 0 or phase or step >= self.steps else (sample, step)


def shift_right(product: Any, shift: int, rounding: str) -> Any:
    """``product / 2^shift`` rounded to "floor", "toward_zero" or "half_even"."""
    if rounding == "toward_zero":
        return np.where(product < 0, -(-product >> shift), product >> shift)
    down = product >> shift
    if rounding == "floor" or shift == 0:
        return down
    twice = (product - (down << shift)) << 1
    up = (twice > 1 << shift) | ((twice == 1 << shift) & (down & 1 == 1))
    return down + up


def bounded(x: Any, low: int, high: int, overflow: str) -> Any:
    """Clip ("saturate") or wrap to [low, high]."""
    if overflow == "saturate":
        return np.clip(x, low, high)
    return low + np.mod(x - low, high - low + 1)


class IntegerNeuron(AbstractProcess):
    """A population of ``shape[0]`` integer neurons.  One logical step, in this order::

        x = (sum of inputs) << input_shift
        u = range_u(round(cm u / 2^cs) + x)              with ``current``, else u = x
        v = range_v(round(m v / 2^s) + u + biases that have begun)
        c = #{k: v >= thresholds_k + offset} - #{j: -v >= negative_thresholds_j}
        if q > 0: c = 0, and v = reset value if ``refractory_hold``
        v = range_v(v - amount c | amount where c | v | up v where c > 0, down v where c < 0)
        a = adaptation;  offset = (beta a) >> beta_shift
        q = refractory where c, else max(q - 1, 0)
        with ``recovery``: thresholds are raised by q, which is no counter, and
        q = round(rm (q + recovery (thresholds_1 + offset) where c) / 2^rs)

    and emits c, or ``emission[c + negative levels]``, or v with ``emit = "state"``.  With
    ``delta`` it emits changes instead: y = max(v, 0) or v, d = range_v(y - a); where
    |d| >= thresholds_1 it sends s = d >> shift within +-limit, and a = y, or a + (s << shift).

    At the first step of a sample the state is the initial one.

    Parameters: a dict of the names above; see ``snnc_worker`` for the file it is read from.
    """

    def __init__(self, *, shape: tuple, neuron: dict, window: dict, name: str = "") -> None:
        super().__init__(shape=shape, neuron=neuron, window=window, name=name or None)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.a = Var(shape=shape, init=0)
        self.q = Var(shape=shape, init=0)


@implements(proc=IntegerNeuron, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyIntegerNeuron(PyLoihiProcessModel):
    """``IntegerNeuron`` in NumPy."""

    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    u: Any = LavaPyType(np.ndarray, np.int64)
    v: Any = LavaPyType(np.ndarray, np.int64)
    a: Any = LavaPyType(np.ndarray, np.int64)
    q: Any = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.n = proc_params["neuron"]
        self.window = Window(**proc_params["window"])

    def run_spk(self) -> None:
        x = self.a_in.recv().astype(np.int64)
        place = self.window.locate(self.time_step)
        if place is None:
            self.s_out.send(np.zeros_like(x))
            return
        if place[1] == 0:
            self.u[:], self.v[:], self.a[:], self.q[:] = 0, self.n["initial"], 0, 0
        self.s_out.send(self._step(x, place[1]))

    def _step(self, x: Any, step: int) -> Any:
        n = self.n
        self.u[:] = self._current(x << n["input_shift"])
        bias = sum(b for b, onset in zip(n["biases"], n["onsets"]) if step >= onset)
        leaked = shift_right(n["leak"] * self.v, n["leak_shift"], n["leak_rounding"])
        v = bounded(leaked + self.u + bias, *n["state_range"])
        if n["emit"] == "state":
            self.v[:] = v
            return self.v
        if "delta" in n:
            self.v[:] = v
            return self._change(v)
        offset = (n["beta"] * self.a) >> n["beta_shift"] if n["adaptation"] else 0
        if "recovery" in n:
            return self._recovering(v, n["thresholds"][0] + offset)
        c = (v >= n["thresholds"] + offset).sum(axis=0)
        c = c - (-v >= n["negative_thresholds"]).sum(axis=0)
        c = np.where(self.q > 0, 0, c)
        if n["refractory_hold"]:
            held = n["amount"] if n["reset"] == "value" else 0
            v = np.where(self.q > 0, held, v)
        self.v[:] = bounded(self._reset(v, c), *n["state_range"])
        self._adapt(c != 0)
        self.q[:] = np.where(c != 0, n["refractory"], np.maximum(self.q - 1, 0))
        return self._emitted(c)

    def _emitted(self, c: Any) -> Any:
        if "emission" not in self.n:
            return c
        return self.n["emission"][c + len(self.n["negative_thresholds"])]

    def _recovering(self, v: Any, threshold: Any) -> Any:
        n = self.n
        c = (v >= threshold + self.q).astype(np.int64)
        self.v[:] = bounded(self._reset(v, c), *n["state_range"])
        self._adapt(c != 0)
        raised = self.q + n["recovery"] * threshold * c
        self.q[:] = shift_right(n["q_leak"] * raised, n["q_shift"], n["q_rounding"])
        return self._emitted(c)

    def _change(self, v: Any) -> Any:
        code = self.n["delta"]
        y = np.maximum(v, 0) if code["relu"] else v
        d = bounded(y - self.a, *self.n["state_range"])
        sends = np.abs(d) >= self.n["thresholds"][0]
        message = np.where(sends, np.clip(d >> code["shift"], -code["limit"], code["limit"]), 0)
        if code["exact"]:
            y = bounded(self.a + (message << code["shift"]), *self.n["state_range"])
        self.a[:] = np.where(sends, y, self.a)
        return message

    def _current(self, x: Any) -> Any:
        n = self.n
        if not n["current"]:
            return x
        kept = shift_right(n["current_leak"] * self.u, n["current_shift"], n["current_rounding"])
        return bounded(kept + x, *n["current_range"])

    def _reset(self, v: Any, c: Any) -> Any:
        n = self.n
        if n["reset"] == "subtract":
            return v - n["amount"] * c
        if n["reset"] == "value":
            return np.where(c != 0, n["amount"], v)
        if n["reset"] == "multiply":
            return v * np.where(c > 0, n["up"], np.where(c < 0, n["down"], 1))
        return v

    def _adapt(self, fired: Any) -> None:
        n = self.n
        if n["adaptation"] == "decay":
            kept = shift_right(n["a_leak"] * self.a, n["a_shift"], n["a_rounding"])
            self.a[:] = kept + n["a_gain"] * fired
        elif n["adaptation"] == "raise_decay":
            raised = self.a + n["a_gain"] * fired
            self.a[:] = shift_right(n["a_leak"] * raised, n["a_shift"], n["a_rounding"])
        elif n["adaptation"] == "step":
            moved = self.a + np.where(fired, n["a_gain"], -n["a_decrement"])
            self.a[:] = np.clip(moved, 0, n["a_maximum"])


class Axon(AbstractProcess):
    """Passes what a source sends inside its samples, ``delay`` steps later, and nothing else.

    A process without latency: with delay 0 it only gates.
    """

    def __init__(self, *, shape: tuple, delay: int, window: dict, name: str = "") -> None:
        super().__init__(shape=shape, delay=delay, window=window, name=name or None)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=Axon, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyAxon(PyLoihiProcessModel):
    """``Axon`` as a queue."""

    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        silence = np.zeros(proc_params["shape"], np.int64)
        self.queue = deque([silence] * proc_params["delay"])
        self.window = Window(**proc_params["window"])

    def run_spk(self) -> None:
        x = self.s_in.recv().astype(np.int64)
        inside = self.window.locate(self.time_step) is not None
        self.queue.append(x if inside else np.zeros_like(x))
        self.s_out.send(self.queue.popleft())


class WideSparse(AbstractProcess):
    """``a_out = weights @ s_in`` one step later, in 64 bits, without limits on the weights.

    ``weights`` is a SciPy CSR matrix [outputs, inputs].
    """

    def __init__(self, *, weights: Any, name: str = "") -> None:
        super().__init__(matrix=weights, name=name or None)
        self.s_in = InPort(shape=(weights.shape[1],))
        self.a_out = OutPort(shape=(weights.shape[0],))


@implements(proc=WideSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyWideSparse(PyLoihiProcessModel):
    """``WideSparse`` with SciPy."""

    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    a_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.matrix = proc_params["matrix"]
        self.buffer = np.zeros(self.matrix.shape[0], np.int64)

    def run_spk(self) -> None:
        self.a_out.send(self.buffer)
        self.buffer = self.matrix @ self.s_in.recv().astype(np.int64)


class Sparse32(WideSparse):
    """``WideSparse`` whose sums wrap at 32 bits, as whatever feeds Lava's sigma-delta processes.

    Those take over the type of their input: sums of 64 bits would not wrap there.
    """


@implements(proc=Sparse32, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySparse32(PyLoihiProcessModel):
    """``Sparse32`` with SciPy."""

    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    a_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.matrix = proc_params["matrix"]
        self.buffer = np.zeros(self.matrix.shape[0], np.int32)

    def run_spk(self) -> None:
        self.a_out.send(self.buffer)
        self.buffer = (self.matrix @ self.s_in.recv().astype(np.int64)).astype(np.int32)


class Operator(AbstractProcess):
    """An exact function of one tensor (``a_in``) or two (``a_in``, ``b_in``) of the same step.

    ``spec`` names it (``op``) and its operands' shapes (``shapes``); ports are flat.  No latency:
    it is fed by synapses.
    """

    def __init__(self, *, spec: dict, size: int, name: str = "") -> None:
        super().__init__(spec=spec, size=size, name=name or None)
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in spec["shapes"]]
        self.a_in = InPort(shape=(sizes[0],))
        self.b_in = InPort(shape=(sizes[-1],))
        self.s_out = OutPort(shape=(size,))


@implements(proc=Operator, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyOperator(PyLoihiProcessModel):
    """``Operator`` in NumPy."""

    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    b_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.spec = proc_params["spec"]

    def run_spk(self) -> None:
        shapes = self.spec["shapes"]
        ports = (self.a_in, self.b_in)[: len(shapes)]
        operands = [p.recv().astype(np.int64).reshape(s) for p, s in zip(ports, shapes)]
        self.s_out.send(OPERATORS[self.spec["op"]](self.spec, *operands).reshape(-1))


def _max_pool(spec: dict, x: Any) -> Any:
    """Windows over the axes behind the first; padded positions never win."""
    lowest = np.iinfo(np.int64).min
    padded = np.pad(x, [(0, 0), *spec["padding"]], constant_values=lowest)
    axes = tuple(range(1, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(padded, spec["kernel"], axes)
    strided = windows[(slice(None), *(slice(None, None, s) for s in spec["stride"]))]
    return strided.max(axis=tuple(range(x.ndim, windows.ndim)))


def _reduce(spec: dict, x: Any) -> Any:
    function = np.sum if spec["function"] == "sum" else np.max
    return function(x, axis=tuple(spec["axes"]), keepdims=True)


def _matmul(spec: dict, a: Any, b: Any) -> Any:
    a = a.swapaxes(-1, -2) if spec["transpose_a"] else a
    return a @ (b.swapaxes(-1, -2) if spec["transpose_b"] else b)


def _rescale(spec: dict, x: Any) -> Any:
    limit = 1 << (spec["bits"] - 1)
    scaled = shift_right(spec["multiplier"] * x, spec["shift"], spec["rounding"])
    return np.clip(scaled, -limit, limit - 1)


def _lookup(spec: dict, x: Any) -> Any:
    table = spec["table"]
    return table[np.clip(x - spec["first"], 0, table.size - 1)]


OPERATORS: dict = {
    "max_pool": _max_pool,
    "reduce": _reduce,
    "mul": lambda spec, a, b: a * b,
    "matmul": _matmul,
    "rescale": _rescale,
    "lookup": _lookup,
}


class EventRecorder(AbstractProcess):
    """Appends every nonzero value of a sample to ``path``: int64 (sample, step, index, value)."""

    def __init__(self, *, shape: tuple, path: str, window: dict, name: str = "") -> None:
        super().__init__(path=path, window=window, name=name or None)
        self.s_in = InPort(shape=shape)


@implements(proc=EventRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyEventRecorder(PyLoihiProcessModel):
    """``EventRecorder`` with one unbuffered write per step."""

    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.path = proc_params["path"]
        self.window = Window(**proc_params["window"])
        self.file: Any = None

    def run_spk(self) -> None:
        x = self.s_in.recv().astype(np.int64)
        place = self.window.locate(self.time_step)
        if place is None:
            return
        if self.file is None:  # here, because a file opened before the fork would be shared
            self.file = open(self.path, "ab", buffering=0)
        index = np.flatnonzero(x)
        if index.size:
            rows = np.empty((index.size, 4), np.int64)
            rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = *place, index, x[index]
            self.file.write(rows.tobytes())
