"""The functional simulator on PyTorch: many samples at once, on the processor or a CUDA device.

Sums over synapses are products of sparse matrices in floating point.  All operands and partial sums
are whole numbers below 2^24 (single precision) or 2^53 (double), proven from the weights and the
value types, so every one of them is exact in any order; what cannot be proven is refused.  Neurons
are computed in 64-bit integers, line by line as ``snnc.simulators.reference.neuron``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import MissingPackageError, OptionError, UnsupportedError
from snnc.ir.expand import Projection, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import executable
from snnc.ir.neuron import Leak, Neuron, StateRange, flat, flat_ladder
from snnc.ir.nodes import Barrier, Reduce
from snnc.simulators.inputs import check_inputs
from snnc.simulators.result import Events, RunResult

Device = Literal["cpu-torch", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)
STATE_BYTES = 256 << 20
"""Bytes of membranes held at a time, which bounds how many samples run side by side."""


class TorchDevice:
    """A compiled network on a device; ``run`` may be called any number of times.

    Raises:
        MissingPackageError: PyTorch is not installed.
        OptionError: an unknown device, or one that this computer lacks.
        UnsupportedError: naming a node that looks at later time steps, a population that sends
            changes or whose threshold recovers, one whose sums may not be exact, or an operator
            that cannot be written as neurons and synapses.
    """

    def __init__(self, network: IntegerNetwork, device: Device) -> None:
        self._torch = _torch()
        if device not in DEVICES:
            raise OptionError(
                "no such device", where="--device", found=device, allowed=", ".join(DEVICES)
            )
        if device == "cuda" and not self._torch.cuda.is_available():
            raise OptionError(
                "no CUDA device on this computer",
                where="--device",
                found=f"PyTorch {self._torch.__version__} sees none",
                allowed="cpu-torch",
            )
        self._device = "cuda" if device == "cuda" else "cpu"
        whole = executable(network)
        _check_times(whole)
        _check_neurons(whole)
        self.network, self._expansion = network, expand(whole)
        types = whole.types
        self._neurons = {n.name: _Population(self, n) for n in self._expansion.populations}
        self._projections: dict[str, list[_Synapses]] = {name: [] for name in self._neurons}
        for name in self._neurons:
            mine = [p for p in self._expansion.projections if p.population == name]
            kind = _exact_type(self._torch, name, mine, {p.source: types[p.source].magnitude
                                                        for p in mine})  # fmt: skip
            self._projections[name] = [_Synapses(self, p, kind) for p in mine]

    def run(
        self, inputs: Mapping[str, IntArray], record: Collection[str] | None = None
    ) -> RunResult:
        """Run all samples from their reset state.

        Args:
            inputs: by input name, integers [samples, steps, *shape] within the input's type.
            record: populations whose spikes are returned; None records all.

        Raises:
            InputError: an input is missing, misshapen or out of its type's range.
            OptionError: ``record`` names no population.
        """
        data, samples, _ = check_inputs(self.network, inputs)
        names = [n.name for n in self.network.populations]
        shown = set(names) if record is None else set(record)
        if not shown <= set(names):
            raise OptionError(
                "only populations can be recorded",
                where="record",
                found=", ".join(sorted(shown - set(names))),
                allowed=", ".join(names),
            )
        neurons = sum(n.size for n in self._expansion.populations)
        size = max(1, STATE_BYTES // (8 * max(neurons, 1)))
        batches = [
            self._batch({n: a[k : k + size] for n, a in data.items()}, k, shown)
            for k in range(0, samples, size)
        ]
        outputs = {
            o: np.concatenate([b.outputs[o] for b in batches]) for o in self._expansion.readout
        }
        spikes = {n: Events.join([b.spikes[n] for b in batches]) for n in names if n in shown}
        counts = {n: np.concatenate([b.counts[n] for b in batches]) for n in names}
        return RunResult(outputs, spikes, counts)

    def array(self, values: Any, kind: Any = None) -> Any:
        """A NumPy array on the device, in 64-bit integers unless told."""
        # A copy, because tensors must not share the read-only memory of a network.
        kind = self._torch.int64 if kind is None else kind
        return self._torch.tensor(np.array(values), dtype=kind, device=self._device)

    @property
    def torch(self) -> Any:
        """The package."""
        return self._torch

    @property
    def place(self) -> str:
        """What PyTorch calls the device."""
        return self._device

    def _batch(self, data: Mapping[str, IntArray], first: int, shown: set[str]) -> _Batch:
        """Run some samples side by side; tensors are [elements, samples]."""
        torch = self._torch
        samples, steps = next(iter(data.values())).shape[:2]
        states = {name: p.reset(samples) for name, p in self._neurons.items()}
        longest = max((p.delay for p in self._expansion.projections), default=0)
        past = _Past(longest + 1)
        found = _Batch({}, {n: [] for n in shown}, {})
        counts = {n: torch.zeros(samples, dtype=torch.int64, device=self._device)
                  for n in self._neurons}  # fmt: skip
        dense: dict[str, list[IntArray]] = {o: [] for o in self._expansion.readout}
        with torch.no_grad():
            for step in range(steps):
                for node in self._expansion.inputs:
                    values = data[node.name][:, step].reshape(samples, -1).T
                    past.push(node.name, step, self.array(values))
                for name, population in self._neurons.items():
                    arrived = population.silence(samples)
                    for synapses in self._projections[name]:
                        sent = past.at(synapses.source, step - synapses.delay)
                        if sent is not None:
                            arrived = arrived + synapses.apply(sent)
                    out = population.step(states[name], arrived, step)
                    past.push(name, step, out)
                    counts[name] += out.abs().sum(dim=0)
                    if name in shown:
                        found.events[name].append(_events(torch, out, step, first))
                for output, name in self._expansion.readout.items():
                    dense[output].append(past.at(name, step).T.cpu().numpy())
        shapes = {o: self._neurons[n].neuron.shape for o, n in self._expansion.readout.items()}
        outputs = {o: np.stack(v, axis=1).reshape(samples, steps, *shapes[o])
                   for o, v in dense.items()}  # fmt: skip
        totals = {n: c.cpu().numpy() for n, c in counts.items()}
        return _Batch(outputs, found.events, totals)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Outputs, spikes per step and counts per sample of some samples."""

    outputs: dict[str, IntArray]
    events: dict[str, list[Events]]
    counts: dict[str, IntArray]

    @property
    def spikes(self) -> dict[str, Events]:
        return {name: Events.join(parts) for name, parts in self.events.items()}


class _Synapses:
    """One projection as a sparse matrix [targets, sources]."""

    def __init__(self, device: TorchDevice, projection: Projection, kind: Any) -> None:
        torch = device.torch
        self.source, self.delay, self._kind = projection.source, projection.delay, kind
        rows = np.repeat(np.arange(projection.row_ptr.size - 1), np.diff(projection.row_ptr))
        place = np.stack([projection.target.astype(np.int64), rows])
        self._matrix = torch.sparse_coo_tensor(
            device.array(place),
            device.array(projection.weight, kind),
            (projection.targets, projection.row_ptr.size - 1),
            device=device.place,
            check_invariants=False,
        ).coalesce()
        self._whole = torch.int64

    def apply(self, sent: Any) -> Any:
        """Sums [targets, samples] of what the sources [sources, samples] send."""
        return (self._matrix @ sent.to(self._kind)).to(self._whole)


@dataclass
class _State:
    v: Any
    current: Any
    a: Any
    q: Any


class _Population:
    """Parameters of a population as columns [neurons, 1]; equations of ``snnc.ir.neuron``."""

    def __init__(self, device: TorchDevice, neuron: Neuron) -> None:
        self.neuron, self._device, self._torch = neuron, device, device.torch
        self._leak = self._column(neuron.leak.multiplier)
        self._current = None
        if neuron.current is not None:
            self._current = self._column(neuron.current.multiplier)
        self._amount = self._column(neuron.reset.amount)
        self._initial = self._column(neuron.initial)
        self._bias = [(b.onset, self._column(b.value)) for b in neuron.bias]
        self._up = device.array(flat_ladder(neuron.thresholds, neuron.shape))[..., None]
        self._down = device.array(flat_ladder(neuron.negative_thresholds, neuron.shape))[..., None]
        self._emission = None if neuron.emission is None else device.array(neuron.emission)
        if neuron.adaptation is not None:
            self._gain = self._column(neuron.adaptation.gain)
            self._adapt_leak = self._column(neuron.adaptation.leak.multiplier)

    def _column(self, parameter: IntArray) -> Any:
        return self._device.array(flat(parameter, self.neuron.shape))[:, None]

    def silence(self, samples: int) -> Any:
        """No input."""
        return self._torch.zeros(
            (self.neuron.size, samples), dtype=self._torch.int64, device=self._device.place
        )

    def reset(self, samples: int) -> _State:
        """The state a sample starts with."""
        zero = self.silence(samples)
        return _State(zero + self._initial, zero, zero, zero)

    def step(self, state: _State, inputs: Any, t: int) -> Any:
        """Advance by logical step ``t``; returns what is emitted, [neurons, samples]."""
        n, where = self.neuron, self._torch.where
        x = inputs << n.input_shift
        if n.current is not None:
            kept = self._decayed(self._current, n.current, state.current)
            x = state.current = self._bounded(kept + x, n.current_range)
        for onset, bias in self._bias:
            if t >= onset:
                x = x + bias
        v = self._bounded(self._decayed(self._leak, n.leak, state.v) + x, n.state_range)
        if n.emit == "state":
            state.v = v
            return v
        offset = 0
        if n.adaptation is not None:
            offset = (n.adaptation.beta * state.a) >> n.adaptation.beta_shift
        c = self._torch.zeros_like(v)
        for threshold in self._up:
            c = c + (v >= threshold + offset)
        for threshold in self._down:
            c = c - (-v >= threshold).to(c.dtype)
        if n.refractory:
            silent = state.q > 0
            c = where(silent, 0, c)
            if n.refractory_hold:
                v = where(silent, self._amount if n.reset.kind == "value" else 0, v)
        state.v = self._bounded(self._after(v, c), n.state_range)
        self._adapt(state, c)
        if n.refractory:
            state.q = where(c != 0, n.refractory, (state.q - 1).clamp(min=0))
        return c if self._emission is None else self._emission[c + n.negative_levels]

    def _after(self, v: Any, c: Any) -> Any:
        reset, where = self.neuron.reset, self._torch.where
        if reset.kind == "subtract":
            return v - self._amount * c
        if reset.kind == "value":
            return where(c != 0, self._amount, v)
        if reset.kind == "multiply":
            return where(c > 0, reset.up * v, where(c < 0, reset.down * v, v))
        return v

    def _adapt(self, state: _State, c: Any) -> None:
        rule, where = self.neuron.adaptation, self._torch.where
        if rule is None:
            return
        fired = c != 0
        if rule.kind == "raise_decay":
            raised = state.a + where(fired, self._gain, 0)
            state.a = self._decayed(self._adapt_leak, rule.leak, raised)
        elif rule.kind == "decay":
            kept = self._decayed(self._adapt_leak, rule.leak, state.a)
            state.a = kept + where(fired, self._gain, 0)
        else:
            moved = state.a + where(fired, self._gain, -rule.decrement)
            state.a = moved.clamp(0, rule.maximum)

    def _decayed(self, multiplier: Any, leak: Leak, x: Any) -> Any:
        """``round(multiplier x / 2^shift)``; ``>>`` of a negative number rounds down."""
        product = multiplier * x
        if leak.shift == 0:
            return product
        if leak.rounding == "toward_zero":
            return product.sign() * (product.abs() >> leak.shift)
        down = product >> leak.shift
        if leak.rounding == "floor":
            return down
        rest, half = product & ((1 << leak.shift) - 1), 1 << (leak.shift - 1)
        return down + ((rest > half) | ((rest == half) & (down & 1 == 1)))

    def _bounded(self, x: Any, bounds: StateRange) -> Any:
        if bounds.overflow == "saturate":
            return x.clamp(bounds.low, bounds.high)
        return (x - bounds.low).remainder(bounds.high - bounds.low + 1) + bounds.low


class _Past:
    """What every sender sent in its last steps, the latest first."""

    def __init__(self, steps: int) -> None:
        self._sent: dict[str, deque[Any]] = {}
        self._at: dict[str, int] = {}
        self._steps = steps

    def push(self, name: str, step: int, values: Any) -> None:
        """A sender's values in a step."""
        self._sent.setdefault(name, deque(maxlen=self._steps)).appendleft(values)
        self._at[name] = step

    def at(self, name: str, step: int) -> Any:
        """A sender's values in a step that is over; None before the first one."""
        return None if step < 0 else self._sent[name][self._at[name] - step]


def _events(torch: Any, out: Any, step: int, first: int) -> Events:
    index, sample = torch.nonzero(out, as_tuple=True)
    value = out[index, sample].cpu().numpy()
    moment = np.full(value.size, step)
    return Events.of(sample.cpu().numpy() + first, moment, index.cpu().numpy(), value)


def _check_times(network: IntegerNetwork) -> None:
    for node in network.order:
        if isinstance(node, Barrier) or (isinstance(node, Reduce) and node.steps):
            raise UnsupportedError(
                "it needs all time steps of a sample, which the torch device does not keep",
                where=node.name,
                found=type(node).__name__,
                allowed="operators of one step and delays",
                remedy="leave --device out",
            )


def _check_neurons(network: IntegerNetwork) -> None:
    for node in network.populations:
        if node.delta is not None or node.recovery is not None:
            raise UnsupportedError(
                "the torch device has no such neuron",
                where=node.name,
                found="sigma-delta" if node.delta is not None else "a relative refractory state",
                remedy="leave --device out",
            )


def _exact_type(
    torch: Any, name: str, projections: list[Projection], largest: Mapping[str, int]
) -> Any:
    """The floating-point type in which all sums of a population are exact."""
    if not projections:
        return torch.float32
    total = np.zeros(projections[0].targets)
    for p in projections:
        np.add.at(total, p.target, np.abs(p.weight.astype(np.float64)) * largest[p.source])
    bound = float(total.max(initial=0.0))
    if bound < 1 << 24:
        return torch.float32
    if bound < 1 << 53:
        return torch.float64
    raise UnsupportedError(
        "sums over its synapses may not be exact in double precision",
        where=name,
        found=f"up to {bound:.3g}",
        allowed="below 2^53",
        remedy="leave --device out",
    )


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            "this device needs PyTorch",
            where="--device",
            found=f"no package {error.name}",
            remedy="pip install 'snnc[torch]'",
        ) from error
    return torch
