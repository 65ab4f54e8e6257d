"""Rule "neuron": the core's neuron computes every population of the network exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from snnc.compiler.verify.drive import Drive, state_bounds
from snnc.compiler.verify.fanout import Link
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject
from snnc.ir.arrays import IntArray
from snnc.ir.neuron import Leak, Neuron, StateRange
from snnc.ir.target import NeuronModel
from snnc.ir.wire import WireCode

Problem = tuple[str, object, object]
"""Part of the neuron, what was found, what is allowed."""


def check_neurons(
    subject: Subject, findings: Findings, links: Sequence[Link], drives: Mapping[str, Drive]
) -> None:
    """Check every population, given what it can receive, and what it and the inputs may send."""
    deployment = subject.deployment
    codes = deployment.schedule.codes
    for neuron in subject.populations:
        findings.count("neuron", neuron.size)
        drive = drives[neuron.name]
        for part, found, allowed in (
            *model_problems(neuron, deployment.target.neuron, codes.get(neuron.name)),
            *_range_problems(
                neuron, deployment.target.neuron, drive, deployment.schedule.timesteps
            ),
        ):
            findings.add("neuron", f"{neuron.name}.{part}", found, allowed)
    for name in sorted({link.source for link in links}):
        node = deployment.network.node[name]
        if isinstance(node, Neuron) and node.emit == "state":
            findings.add("neuron", name, "a readout of the state feeds synapses", "spikes")


def model_problems(
    neuron: Neuron, model: NeuronModel, code: WireCode | None = None
) -> Iterator[Problem]:
    """Everything about a population that the core's neuron cannot compute."""
    if code is not None and code.refire:
        yield from _refiring(neuron, model, code)
    else:
        yield from _levels(neuron, model)
    sums = neuron.has_sdn_states and model.sigma_delta
    if not sums:
        yield from _leaks(neuron, model)
    if neuron.delta is not None:
        yield from _sigma_delta(neuron, model)
        return
    yield from _thresholds(neuron, model)
    yield from _reset(neuron, model)
    yield from _bias(neuron, model)
    low, high = model.input_shift
    if not low <= neuron.input_shift <= high and not sums:
        yield "input_shift", neuron.input_shift, f"{low} to {high}"
    if neuron.refractory > model.refractory_max:
        yield "refractory", neuron.refractory, f"at most {model.refractory_max}"
    if neuron.refractory and neuron.refractory_hold != model.refractory_hold:
        yield "refractory_hold", neuron.refractory_hold, model.refractory_hold
    if neuron.adaptation is not None and not model.adaptation:
        yield "adaptation", neuron.adaptation.kind, "none"
    if neuron.recovery is not None and not model.recovery:
        yield "recovery", f"factor {neuron.recovery.factor}", "none"


def _sigma_delta(neuron: Neuron, model: NeuronModel) -> Iterator[Problem]:
    """Threshold and bias share the width of the state they are compared with."""
    if not model.sigma_delta:
        yield "delta", "changes of an activation", "spikes"
    top = (1 << (model.state_bits - 1)) - 1
    bias = sum((np.abs(term.value) for term in neuron.bias), start=np.zeros(1, np.int64))
    for name, value in (("thresholds", neuron.thresholds), ("bias", bias)):
        if value.max() > top:
            yield name, int(value.max()), f"at most {top}"


def _levels(neuron: Neuron, model: NeuronModel) -> Iterator[Problem]:
    for name, allowed in (("levels", model.levels), ("negative_levels", model.negative_levels)):
        found = getattr(neuron, name)
        if allowed is not None and found > allowed:
            yield name, found, f"at most {allowed}"
    if neuron.emission is not None and not model.emission:
        yield "emission", neuron.emission.tolist(), "none"


def _refiring(neuron: Neuron, model: NeuronModel, code: WireCode) -> Iterator[Problem]:
    """One threshold, a reset by subtraction, and nothing that a second spike would disturb."""
    if code.slots > model.refire_slots:
        yield "refire", f"{code.slots} slots", f"at most {model.refire_slots}"
    if code.slots != neuron.levels:  # with more slots it would go on counting
        yield "levels", neuron.levels, f"{code.slots}: one for each slot"
    if neuron.reset.kind != "subtract" or neuron.negative_levels or neuron.refractory:
        yield "refire", f"reset {neuron.reset.kind}", "subtraction, one sign, no refractory time"
    if neuron.adaptation is not None or neuron.emission is not None:
        yield "refire", "an adaptation or an emission table", "none"
    uniform = neuron.thresholds[:1] + np.arange(neuron.levels).reshape(
        -1, *(1,) * len(neuron.shape)
    ) * np.broadcast_to(neuron.reset.amount, neuron.shape)
    if (neuron.thresholds != uniform).any():
        yield "thresholds", "a ladder", "thresholds one reset apart"


def _thresholds(neuron: Neuron, model: NeuronModel) -> Iterator[Problem]:
    """``v > m << shift`` is ``v >= (m << shift) + 1``; mantissas are unsigned."""
    step = 1 << model.threshold_shift
    offset = 1 if model.comparator == ">" else 0
    top = (1 << model.threshold_bits) - 1
    for name in ("thresholds", "negative_thresholds"):
        stored = getattr(neuron, name) - offset
        bad = (stored % step != 0) | (stored < 0) | (stored // step > top)
        if bad.any():
            allowed = f"{step} * m + {offset} with m in 0 to {top}" if step > 1 or offset else top
            yield name, int(stored[bad].flat[0]) + offset, allowed


def _leaks(neuron: Neuron, model: NeuronModel) -> Iterator[Problem]:
    forgets = neuron.emit == "state" and not neuron.leak.multiplier.any()
    # The state of a readout without memory is its input, which a core with a current shows there.
    if not (forgets and model.current):
        yield from _leak("leak", neuron.leak, model, model.leak_multiplier)
    if neuron.current is not None and not model.current:
        yield "current", "a synaptic current", "none"
    elif model.current:
        # A population without a current is one whose current forgets at once.
        current = neuron.current or Leak(np.array(0))
        yield from _leak("current", current, model, model.current_multiplier)


def _leak(
    part: str, leak: Leak, model: NeuronModel, span: tuple[int, int] | None
) -> Iterator[Problem]:
    if model.leak != "multiplicative":
        if not leak.is_identity:
            yield part, "a multiplicative leak", model.leak
        return
    one = 1 << model.leak_bits
    low, high = span or (0, one)
    scaled = leak.multiplier * one
    stored = scaled >> leak.shift
    bad = (stored << leak.shift != scaled) | (stored < low) | (stored > high)
    if bad.any():
        found = f"{int(leak.multiplier[bad].flat[0])} / 2^{leak.shift}"
        yield part, found, f"{low} to {high} of 2^{model.leak_bits}"
    exact = (leak.multiplier == 0) | (leak.multiplier == 1 << leak.shift)
    if not exact.all() and leak.rounding not in model.roundings:
        yield f"{part} rounding", leak.rounding, ", ".join(model.roundings)


def _reset(neuron: Neuron, model: NeuronModel) -> Iterator[Problem]:
    if neuron.emit != "count":
        return
    kind = neuron.reset.kind
    zero = kind == "value" and not neuron.reset.amount.any() and "zero" in model.reset
    if kind not in model.reset and not zero:
        yield "reset", f"{kind} {neuron.reset.amount.flat[0]}", ", ".join(model.reset)


def _bias(neuron: Neuron, model: NeuronModel) -> Iterator[Problem]:
    """The sum of the terms that are on at any onset has one mantissa and exponent."""
    for onset in sorted({term.onset for term in neuron.bias}):
        total = np.zeros(1, np.int64)
        for term in neuron.bias:
            if term.onset <= onset:
                total = total + term.value
        if model.bias_bits is None:
            if total.any():
                yield "bias", int(total[total != 0].flat[0]), "no bias"
            continue
        bad = _mantissa(total, model.bias_max_exponent) >= 1 << model.bias_bits
        if bad.any():
            allowed = f"{model.bias_bits}-bit mantissa << 0..{model.bias_max_exponent}"
            yield "bias", int(total[bad].flat[0]), allowed


def _mantissa(value: IntArray, max_exponent: int) -> IntArray:
    """|value| with as many factors of two taken out as the exponent can hold."""
    size: IntArray = np.abs(value)
    for _ in range(max_exponent):
        size = np.where(size % 2 == 0, size // 2, size)
    return size


def _range_problems(
    neuron: Neuron, model: NeuronModel, drive: Drive, timesteps: int
) -> Iterator[Problem]:
    """States saturate or wrap as the core does, or provably never get that far."""
    # What only adds up and wraps is the same modulo its width, however the input came together.
    modular = neuron.accumulates and neuron.current_range.overflow == "wrap"
    if model.accumulator_bits is not None and not modular:
        limit = 1 << (model.accumulator_bits - 1)
        low, high = drive.low << neuron.input_shift, drive.high << neuron.input_shift
        if low < -limit or high >= limit:
            found = f"sums of {low} to {high}"
            yield "input", found, f"{model.accumulator_bits} bits"
    current, state = state_bounds(neuron, drive, timesteps)
    if neuron.current is not None:
        yield from _range(
            "current_range",
            neuron.current_range,
            model.current_bits,
            model.current_overflow,
            current,
        )
    yield from _range(
        "state_range", neuron.state_range, model.state_bits, model.state_overflow, state
    )


def _range(
    part: str, stated: StateRange, bits: int, overflow: str, bound: int
) -> Iterator[Problem]:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    never = bound <= min(high, stated.high, -stated.low)
    inside = low <= stated.low and stated.high <= high
    same = stated.overflow == overflow and (overflow == "saturate" or stated.low == low)
    if not never and not (inside and same):
        found = f"{stated.overflow} at {stated.low}..{stated.high}, reaching |{bound}|"
        yield part, found, f"{overflow} at {low}..{high}"
