"""Can a target's neurons hold an integer population: every register and width."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.compiler.legalize.readouts import forgetful
from snnc.compiler.legalize.sigma_delta import sigma_delta
from snnc.compiler.wire import counts_by_refiring, refire_problem
from snnc.ir.neuron import Leak, Neuron, Reset
from snnc.ir.target import NeuronModel, Target


def integer_neuron(node: Neuron, target: Target) -> Iterator[Finding]:
    """All that a population asks of its neurons and they lack."""
    model = target.neuron
    if node.delta is not None and not model.sigma_delta:
        yield refused(
            node,
            f"a sigma-delta neuron, and neurons of {target.id} send spikes, not changes",
            "choose a target with sigma-delta neurons, or train spiking neurons",
        )
        return
    if node.recovery is not None and not model.recovery:
        yield refused(
            node, "a relative refractory state beside the threshold (ALIF)",
            "train LIF neurons, or choose another target",
        )  # fmt: skip
        return
    if not (node.has_sdn_states and model.sigma_delta):
        yield from _leaks(node, target)
    if node.delta is not None:
        yield from sigma_delta(node, model)
        return
    problem = refire_problem(node, target) if counts_by_refiring(node, target) else ""
    if problem:
        yield refused(
            node, f"{node.levels} spike levels, the target has {model.levels}; {problem}",
            "train with fewer spikes per step",
        )  # fmt: skip
    if model.negative_levels is not None and node.negative_levels > model.negative_levels:
        yield refused(
            node, f"{node.negative_levels} negative levels, the target has {model.negative_levels}",
            "train with binary spikes",
        )  # fmt: skip
    if node.emission is not None and not model.emission:
        yield refused(node, "an emission table, and the target sends plain counts",
                      "train with counts, or choose a target with emission tables")  # fmt: skip
    if node.emit == "count" and not _reset_known(node.reset, model):
        yield refused(
            node, f"reset {node.reset.kind!r}, the target has {', '.join(model.reset)}",
            "re-read the file with another --reset",
        )  # fmt: skip
    yield from _registers(node, target)


def _reset_known(reset: Reset, model: NeuronModel) -> bool:
    if reset.kind == "value" and not np.any(reset.amount) and "zero" in model.reset:
        return True
    return reset.kind in model.reset


def _leaks(node: Neuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    for what, leak, allowed in (
        ("potential", node.leak, model.leak_multiplier),
        ("current", node.current, model.current_multiplier),
    ):
        if leak is None or (leak.is_identity and _keeps(allowed, model)):
            continue
        if what == "potential" and node.emit == "state" and not np.any(leak.multiplier):
            yield forgetful(node, target)
        elif model.leak != "multiplicative":
            yield refused(node, f"a {what} leak, the target's is {model.leak}", "train IF neurons")
        else:
            yield from _multiplier(node, what, leak, allowed, model)
    if node.current is not None and not model.current:
        yield refused(node, "a synaptic current state", "train without synaptic filter")
    if node.current is None and model.current and (model.current_multiplier or (0, 0))[0] > 0:
        yield refused(
            node,
            f"no synaptic current, and the current of {target.id} never forgets in one step",
            "train with a synaptic filter, or choose another target",
        )


def _keeps(allowed: tuple[int, int] | None, model: NeuronModel) -> bool:
    """Whether a state can be kept unchanged from step to step."""
    one = 1 << model.leak_bits
    return model.leak != "multiplicative" or (allowed or (0, one))[1] == one


def _multiplier(
    node: Neuron, what: str, leak: Leak, allowed: tuple[int, int] | None, model: NeuronModel
) -> Iterator[Finding]:
    low, high = allowed or (0, 1 << model.leak_bits)
    scaled = leak.multiplier << (model.leak_bits - min(leak.shift, model.leak_bits))
    rounds = bool(np.any(leak.multiplier)) and leak.rounding not in model.roundings
    if leak.shift > model.leak_bits or scaled.min() < low or scaled.max() > high or rounds:
        yield refused(
            node,
            f"{what} leak {leak.multiplier.min()}..{leak.multiplier.max()} / 2^{leak.shift} "
            f"rounded {leak.rounding}, the target multiplies by {low}..{high} / "
            f"2^{model.leak_bits} rounded {model.leak_rounding}",
            "quantize for this target",
        )


def _registers(node: Neuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    low, high = model.input_shift
    if not low <= node.input_shift <= high and not (node.has_sdn_states and model.sigma_delta):
        yield refused(
            node, f"input shift {node.input_shift}, the target has {low} to {high}",
            "quantize for this target",
        )  # fmt: skip
    above = 1 if model.comparator == ">" else 0
    register = node.thresholds - above
    wide = (1 << model.threshold_bits) - 1
    if register.size and (
        (register % (1 << model.threshold_shift)).any()
        or register.min() < 0
        or (register >> model.threshold_shift).max() > wide
    ):
        yield refused(
            node,
            f"a threshold of {node.thresholds.min()}..{node.thresholds.max()} that no "
            f"{model.threshold_bits}-bit register << {model.threshold_shift} holds",
            "quantize for this target",
        )
    yield from _bias(node, model)
    if node.refractory > model.refractory_max:
        yield refused(
            node, f"refractory period {node.refractory}, at most {model.refractory_max}",
            "train with a shorter one, or choose another target",
        )  # fmt: skip
    if node.refractory and node.refractory_hold != model.refractory_hold:
        yield refused(
            node,
            "a refractory period in which the potential "
            f"{'rests, and the target integrates' if node.refractory_hold else 'integrates'}",
            "choose another target",
        )
    if node.adaptation is not None and not model.adaptation:
        yield refused(node, "an adaptive threshold", "train without adaptation")


def _bias(node: Neuron, model: NeuronModel) -> Iterator[Finding]:
    if node.bias and model.bias_bits is None:
        yield refused(node, "a bias, and the target's neurons have none", "train without bias")
        return
    for gated in node.bias:
        # One register holds the sum of all that is on.
        size = np.abs(
            sum((b.value for b in node.bias if b.onset <= gated.onset), start=np.int64(0))
        )
        ends = (size & -size).astype(np.float64)  # lowest set bit
        width = np.where(size > 0, np.log2(np.maximum(size, 1) / np.maximum(ends, 1)), 0)
        exponent = np.log2(np.maximum(size, 1)) - (model.bias_bits or 0)
        if (width >= (model.bias_bits or 0)).any() or (exponent >= model.bias_max_exponent).any():
            yield refused(
                node,
                f"a bias of up to {int(size.max())}, biases are {model.bias_bits}-bit mantissas "
                f"<< 0..{model.bias_max_exponent}",
                "quantize for this target",
            )
        if gated.onset:
            yield assumed(node, f"a bias that the host switches on in step {gated.onset}")
