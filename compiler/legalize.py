"""Can this target compute this network, node by node; and the little that must be added to it.

All limits come from the target description.  A finding is ``ok``, ``assumed`` (the target's
description does not settle it; the assumption is printed) or ``refused``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from snnc.ir.errors import UnsupportedError
from snnc.ir.expand import Projection, expand
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.network import Network
from snnc.ir.neuron import MEMORYLESS, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Input, Lut, MatMul, Mul, Output, Pool, Reduce, Rescale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.target import NeuronModel, Target

Kind = Literal["ok", "assumed", "refused"]


@dataclass(frozen=True)
class Finding:
    """Verdict on one property of one node; ``operator`` is the node's class."""

    node: str
    operator: str
    kind: Kind
    reason: str
    remedy: str = ""


def findings(network: Network | IntegerNetwork, target: Target) -> tuple[Finding, ...]:
    """Verdict on every node, in execution order: its problems, or one ``ok``."""
    result: list[Finding] = []
    found = verdicts(network, target)
    for node in network.order:
        mine = [f for f in found if f.node == node.name]
        result.extend(mine or [Finding(node.name, type(node).__name__, "ok", "")])
    return tuple(result)


def verdicts(network: Network | IntegerNetwork, target: Target) -> tuple[Finding, ...]:
    """Only the findings that say more than ``ok``."""
    result: list[Finding] = []
    for node in network.order:
        if isinstance(node, RealNeuron):
            result.extend(_real_neuron(network, node, target))
        elif isinstance(node, Neuron):
            result.extend(_integer_neuron(node, target))
        elif isinstance(node, Input):
            result.extend(_input(node, target))
        elif isinstance(node, Output) and isinstance(network, Network):
            if not isinstance(network.node[node.inputs[0]], RealNeuron):
                result.append(_readout(node, target))
        elif (isinstance(node, Pool) and node.op == "max") or isinstance(
            node, Mul | MatMul | Reduce | Rescale | Lut
        ):
            what = "max pooling" if isinstance(node, Pool) else type(node).__name__
            remedy = "train with average pooling or strided convolutions"
            if not isinstance(node, Pool):
                remedy = "the reference simulator runs it; no chip core here computes it"
            result.append(_refused(node, f"{what} is not a sum over synapses", remedy))
    if isinstance(network, IntegerNetwork) and not any(f.kind == "refused" for f in result):
        result.extend(_weights(network, target))
    return tuple(result)


def require(found: Iterable[Finding], target: Target) -> None:
    """Raise ``UnsupportedError`` naming every refused node."""
    bad = [f for f in found if f.kind == "refused"]
    if bad:
        raise UnsupportedError(
            f"{target.id} cannot express {len({f.node for f in bad})} node(s) of this network",
            where=", ".join(dict.fromkeys(f.node for f in bad)),
            found="; ".join(f"{f.node}: {f.reason}" for f in bad),
            remedy="; ".join(dict.fromkeys(f.remedy for f in bad if f.remedy)),
        )


def legalize(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """Add readout populations where outputs read operators, then check every node.

    Raises:
        UnsupportedError: naming all nodes that the target cannot express.
    """
    result = add_readouts(network, target)
    require(verdicts(result, target), target)
    return result


def add_readouts(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """Every output reads a population: memoryless neurons that emit their potential."""
    nodes: list[IntegerNode] = []
    half = 1 << (target.neuron.state_bits - 1)
    for node in network.nodes:
        source = node.inputs[0] if isinstance(node, Output) else ""
        if source and not isinstance(network.node[source], Neuron):
            shape = network.shapes[source]
            readout = Neuron(
                f"{node.name}.readout", (source,), shape, np.zeros((0, *(1,) * len(shape)), int),
                Reset("none"), leak=MEMORYLESS, emit="state",
                state_range=StateRange(-half, half - 1, target.neuron.state_overflow),
                input_shift=target.neuron.input_shift[0],
                grid=_grid(network, source, shape),
            )  # fmt: skip
            nodes += [readout, replace(node, inputs=(readout.name,))]
        else:
            nodes.append(node)
    return IntegerNetwork(network.name, tuple(nodes), network.assumptions)


def _grid(network: IntegerNetwork, source: str, shape: tuple[int, ...]) -> tuple[float, ...]:
    grid = network.types[source].grid
    return grid if len(grid) in (1, shape[0] if shape else 1) else (1.0,)


def _refused(node: object, reason: str, remedy: str) -> Finding:
    return Finding(getattr(node, "name", ""), type(node).__name__, "refused", reason, remedy)


def _assumed(node: object, reason: str) -> Finding:
    return Finding(getattr(node, "name", ""), type(node).__name__, "assumed", reason)


def _input(node: Input, target: Target) -> Iterator[Finding]:
    if node.type.kind in ("frame", "int"):
        yield _refused(
            node,
            f"values of type {node.type} are not spikes",
            "encode the input (a .net file's input layer: --input-layer spikes)",
        )
    elif node.type.low < 0 and not target.spike.signed:
        yield _refused(
            node,
            f"signed input {node.type}, but packets of {target.id} carry no sign",
            "split the input into a positive and a negative channel",
        )
    elif node.type.high > 1 and not target.spike.payload_bits:
        yield _assumed(node, f"{node.type}: up to {node.type.high} packets per element and step")


def _real_neuron(
    network: Network | IntegerNetwork, node: RealNeuron, target: Target
) -> Iterator[Finding]:
    model = target.neuron
    if node.threshold is None:
        if any(node.name in n.inputs and not isinstance(n, Output) for n in network.nodes):
            yield _refused(
                node, "a potential that is sent on every step is not a spike",
                "put a spiking neuron between the integrator and the next weights",
            )  # fmt: skip
    else:
        yield from _firing(node, target)
    yield from _decay(node, node.decay, "potential", model)
    if node.current_decay is not None:
        if not model.current:
            yield _refused(
                node, f"{target.id} has no synaptic current state",
                "train with a neuron without synaptic filter",
            )  # fmt: skip
        yield from _decay(node, node.current_decay, "current", model)
    if node.minimum is not None and node.minimum > 0:
        yield _refused(node, f"a positive lower bound {node.minimum:g}", "train without it")
    elif node.minimum is not None:
        yield _assumed(node, f"the potential is clipped at {node.minimum:g}")


def _firing(node: RealNeuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    if not _timing_known(node, model):
        yield _refused(
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
        yield _refused(
            node,
            f"reset {node.reset!r} is not among {', '.join(model.reset)} of {target.id}",
            f"re-read the file with --reset {'zero' if 'zero' in model.reset else 'subtract'} "
            "(approximates), or choose another target",
        )
    most = "any number of" if node.multi_spike == 0 else f"up to {node.multi_spike}"
    too_many = model.levels is not None and not 1 <= node.multi_spike <= model.levels
    if too_many or (model.levels is None and node.multi_spike == 0):
        yield _refused(
            node,
            f"{most} spikes per step, and {target.id} sends at most {model.levels}",
            "re-read the file with one spike per step (--dialect nir, or --reset zero), "
            "or choose a target with graded spikes",
        )


def _timing_known(node: RealNeuron, model: NeuronModel) -> bool:
    """A late reset to a value is a held refractory step; late subtraction removes theta / decay."""
    if node.reset_timing == "next_step":
        if node.reset == "subtract":
            return bool((node.decay > 0).all())
        return node.reset == "none" or (model.refractory_max >= 1 and model.refractory_hold)
    return node.reset_timing == "now"


def _decay(node: RealNeuron, decay: object, what: str, model: NeuronModel) -> Iterator[Finding]:
    values = np.asarray(decay)
    if values.min() < 0 or values.max() > 1:
        yield _refused(
            node,
            f"the {what} grows: factor {float(values.min()):g} to {float(values.max()):g} per step",
            "check tau and dt (--dt); a decay lies in [0, 1]",
        )
    elif model.leak != "multiplicative" and node.threshold is not None and (values != 1).any():
        yield _refused(
            node,
            f"a {what} decay of {float(values.min()):g} per step, but the target's leak is "
            f"{model.leak}",
            "train integrate-and-fire neurons for this target",
        )


def _integer_neuron(node: Neuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    yield from _leaks(node, target)
    if model.levels is not None and node.levels > model.levels:
        yield _refused(node, f"{node.levels} spike levels, the target has {model.levels}", "")
    if model.negative_levels is not None and node.negative_levels > model.negative_levels:
        yield _refused(
            node, f"{node.negative_levels} negative levels, the target has {model.negative_levels}",
            "train with binary spikes",
        )  # fmt: skip
    if node.emit == "count" and not _reset_known(node.reset, model):
        yield _refused(
            node, f"reset {node.reset.kind!r}, the target has {', '.join(model.reset)}",
            "re-read the file with another --reset",
        )  # fmt: skip
    yield from _registers(node, target)


def _reset_known(reset: Reset, model: NeuronModel) -> bool:
    if reset.kind == "value" and not np.any(reset.amount) and "zero" in model.reset:
        return True
    return reset.kind in model.reset


def _readout(node: Neuron | Output, target: Target) -> Finding:
    """A weighted sum that is read in every step: some state must hold one step and no more."""
    model = target.neuron
    forgets = model.leak == "multiplicative" and (model.leak_multiplier or (0, 0))[0] == 0
    if model.current and (model.current_multiplier or (0, 0))[0] == 0:
        return _assumed(node, "a readout of one step's input: the host probes the current")
    if forgets:
        return _assumed(node, "a readout of one step's input: the host probes the potential")
    return _refused(
        node,
        f"the output reads a weighted sum, and no state of {target.id} forgets in one step",
        "end the network with a spiking population",
    )


def _leaks(node: Neuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    for what, leak, allowed in (
        ("potential", node.leak, model.leak_multiplier),
        ("current", node.current, model.current_multiplier),
    ):
        if leak is None or leak.is_identity:
            continue
        if what == "potential" and node.emit == "state" and not np.any(leak.multiplier):
            yield _readout(node, target)
        elif model.leak != "multiplicative":
            yield _refused(node, f"a {what} leak, the target's is {model.leak}", "train IF neurons")
        else:
            yield from _multiplier(node, what, leak, allowed, model)
    if node.current is not None and not model.current:
        yield _refused(node, "a synaptic current state", "train without synaptic filter")


def _multiplier(
    node: Neuron, what: str, leak: Leak, allowed: tuple[int, int] | None, model: NeuronModel
) -> Iterator[Finding]:
    low, high = allowed or (0, 1 << model.leak_bits)
    scaled = leak.multiplier << (model.leak_bits - min(leak.shift, model.leak_bits))
    rounds = bool(np.any(leak.multiplier)) and leak.rounding != model.leak_rounding
    if leak.shift > model.leak_bits or scaled.min() < low or scaled.max() > high or rounds:
        yield _refused(
            node,
            f"{what} leak {leak.multiplier.min()}..{leak.multiplier.max()} / 2^{leak.shift} "
            f"rounded {leak.rounding}, the target multiplies by {low}..{high} / "
            f"2^{model.leak_bits} rounded {model.leak_rounding}",
            "quantize for this target",
        )


def _registers(node: Neuron, target: Target) -> Iterator[Finding]:
    model = target.neuron
    low, high = model.input_shift
    if not low <= node.input_shift <= high:
        yield _refused(
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
        yield _refused(
            node,
            f"a threshold of {node.thresholds.min()}..{node.thresholds.max()} that no "
            f"{model.threshold_bits}-bit register << {model.threshold_shift} holds",
            "quantize for this target",
        )
    yield from _bias(node, model)
    if node.refractory > model.refractory_max:
        yield _refused(
            node, f"refractory period {node.refractory}, at most {model.refractory_max}", ""
        )
    if node.adaptation is not None and not model.adaptation:
        yield _refused(node, "an adaptive threshold", "train without adaptation")


def _bias(node: Neuron, model: NeuronModel) -> Iterator[Finding]:
    if node.bias and model.bias_bits is None:
        yield _refused(node, "a bias, and the target's neurons have none", "train without bias")
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
            yield _refused(
                node,
                f"a bias of up to {int(size.max())}",
                f"biases are {model.bias_bits}-bit mantissas << 0..{model.bias_max_exponent}",
            )
        if gated.onset:
            yield _assumed(node, f"a bias that the host switches on in step {gated.onset}")


def _weights(network: IntegerNetwork, target: Target) -> Iterator[Finding]:
    """Weights as the synapses see them, after pools and sums are multiplied out."""
    format_ = target.core.weight
    largest = (1 << (max(format_.bits) - 1)) - 1
    if any(not isinstance(network.node[o.inputs[0]], Neuron) for o in network.of_type(Output)):
        return  # legalize adds the readouts first
    for projection in expand(network).projections:
        node = network.node[projection.population]
        most = int(np.abs(projection.weight).max(initial=0))
        if most > largest:
            yield _refused(
                node,
                f"a synapse from {projection.source} of weight {most} after pooling, "
                f"at most {largest} on {target.id}",
                "lower --weight-bits, or use pools that do not overlap",
            )
        limit = format_.axon_types or format_.distinct_per_neuron
        if limit is not None and _most_distinct(projection) > limit:
            yield _refused(
                node,
                f"{_most_distinct(projection)} different weights per neuron from "
                f"{projection.source}, {target.id} has {limit}",
                "lower --weight-bits (2 bits have 3 values)",
            )
        longest = target.core.max_delay.v
        if longest is not None and projection.delay > longest + target.execution.min_delay:
            yield _refused(
                node,
                f"a connection from {projection.source} delayed by {projection.delay} steps, "
                f"axons hold {longest:g}",
                "shorten the delay",
            )


def _most_distinct(projection: Projection) -> int:
    target, weight = projection.target, projection.weight
    if not target.size:
        return 0
    pairs = np.unique(np.stack([target.astype(np.int64), weight]), axis=1)
    return int(np.bincount(pairs[0]).max())
