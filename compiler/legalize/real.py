"""Can a target compute a trained neuron: its rules, before any number is chosen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.compiler.wire import largest_count
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.nodes import Output
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import NeuronModel, Target


def real_neuron(
    network: Network | IntegerNetwork, node: RealNeuron, target: Target
) -> Iterator[Finding]:
    """All that a trained population asks and the target's neurons lack."""
    model = target.neuron
    if node.threshold is None:
        if any(node.name in n.inputs and not isinstance(n, Output) for n in network.nodes):
            yield refused(
                node, "a potential that is sent on every step is not a spike",
                "put a spiking neuron between the integrator and the next weights",
            )  # fmt: skip
    else:
        yield from _firing(node, target)
    yield from _decay(node, node.decay, "potential", model)
    if node.current_decay is not None:
        if not model.current:
            yield refused(
                node, f"{target.id} has no synaptic current state",
                "train with a neuron without synaptic filter",
            )  # fmt: skip
        yield from _decay(node, node.current_decay, "current", model)
    if node.minimum is not None and model.state_overflow == "wrap":
        yield refused(
            node, f"a lower bound {node.minimum:g}, and potentials of {target.id} wrap",
            "train without it",
        )  # fmt: skip
    elif node.minimum is not None and node.minimum > 0:
        yield refused(node, f"a positive lower bound {node.minimum:g}", "train without it")
    elif node.minimum is not None:
        yield assumed(node, f"the potential is clipped at {node.minimum:g}")


def _firing(node: RealNeuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    if not _timing_known(node, model):
        yield refused(
            node,
            f"reset timing {node.reset_timing!r} has no exact integer form",
            "re-read the file with a plain rule, --reset zero or --reset subtract (approximates)",
        )
    wanted = node.reset
    if wanted == "value":  # counted from the reset value, it is a reset to zero
        wanted = "value" if "value" in model.reset else "zero"
    if wanted == "zero" and "zero" not in model.reset and "value" in model.reset:
        wanted = "value"
    if wanted not in model.reset:
        yield refused(
            node,
            f"reset {node.reset!r} is not among {', '.join(model.reset)} of {target.id}",
            f"re-read the file with --reset {'zero' if 'zero' in model.reset else 'subtract'} "
            "(approximates), or choose another target",
        )
    yield from _counts(node, target)
    yield from _memory(node, target)


def _counts(node: RealNeuron, target: Target) -> Iterator[Finding]:
    """Several spikes per step, and negative ones."""
    model = target.neuron
    most = "any number of" if node.multi_spike == 0 else f"up to {node.multi_spike}"
    # A count without limit gets one from the weights and input types, when these are integers.
    room = largest_count(target)
    if room is not None and max(node.multi_spike, 2 * (node.multi_spike == 0)) > room:
        yield refused(
            node,
            f"{most} spikes per step, and {target.id} sends at most {room}",
            "re-read the file with one spike per step (--dialect nir, or --reset zero), "
            "or choose a target with graded spikes",
        )
    if model.negative_levels is not None and node.negative_spikes > model.negative_levels:
        yield refused(
            node,
            f"up to {node.negative_spikes} negative spikes per step, and {target.id} sends "
            f"{'none' if not model.negative_levels else f'at most {model.negative_levels}'}",
            "train with spikes of one sign, or choose a target with signed spikes",
        )


def _memory(node: RealNeuron, target: Target) -> Iterator[Finding]:
    """What a neuron remembers of its own spikes beside the potential."""
    model = target.neuron
    if node.reset == "multiply" and any(factor % 1 for factor in node.reset_factors):
        yield refused(
            node,
            f"a reset that multiplies by {node.reset_factors[0]:g} and {node.reset_factors[1]:g}; "
            "the normal form has whole factors",
            "train with whole factors (SpikeLM: 0 and 2)",
        )
    if node.refractory > model.refractory_max:
        yield refused(
            node,
            f"a refractory period of {node.refractory} steps, {target.id} has at most "
            f"{model.refractory_max}",
            "train with a shorter one, or choose another target",
        )
    elif node.refractory and node.refractory_hold != model.refractory_hold:
        verb = "rests, and the target integrates" if node.refractory_hold else "integrates"
        yield refused(
            node, f"a refractory period in which the potential {verb}", "choose another target"
        )
    if node.adaptation is not None:
        if not model.adaptation:
            yield refused(
                node, f"an adaptive threshold, and {target.id} has none",
                "train without adaptation, or choose another target",
            )  # fmt: skip
        if node.multi_spike != 1 or node.negative_spikes or node.rounding != "floor":
            yield refused(
                node, "an adaptive threshold of a neuron with several or negative spikes per step",
                "train with binary spikes",
            )  # fmt: skip
        if node.adaptation.in_reset and node.reset == "subtract":
            yield refused(
                node, "a reset that subtracts the adapted threshold",
                "subtract a constant, or reset to a value",
            )  # fmt: skip
        decay = node.adaptation.decay
        if decay.min() < 0 or decay.max() > 1:
            yield refused(node, "an adaptation that grows", "train with a decay in [0, 1]")


def _timing_known(node: RealNeuron, model: NeuronModel) -> bool:
    """A late reset to a value is a held refractory step; late subtraction removes theta / decay."""
    if node.reset_timing == "next_step":
        if node.reset == "subtract":
            return bool((node.decay > 0).all())
        if node.reset == "multiply":
            return False
        return node.reset == "none" or (model.refractory_max >= 1 and model.refractory_hold)
    return node.reset_timing == "now"


def _decay(node: RealNeuron, decay: object, what: str, model: NeuronModel) -> Iterator[Finding]:
    values = np.asarray(decay)
    if values.min() < 0 or values.max() > 1:
        yield refused(
            node,
            f"the {what} grows: factor {float(values.min()):g} to {float(values.max()):g} per step",
            "check tau and dt (--dt); a decay lies in [0, 1]",
        )
    elif model.leak != "multiplicative" and node.threshold is not None and (values != 1).any():
        yield refused(
            node,
            f"a {what} decay of {float(values.min()):g} per step, but the target's leak is "
            f"{model.leak}",
            "train integrate-and-fire neurons for this target",
        )
