"""How a run turns outputs into classes: decoders, early stopping, and what stopping saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Output
from snnc.ir.phased import Program
from snnc.ir.wire import WireCode, packet_limit
from snnc.simulators.cycle.result import Stopped, spread
from snnc.simulators.decoding import OF_SPIKES, Decoder, EarlyStop, classes, tied
from snnc.simulators.result import RunResult


@dataclass(frozen=True)
class Rules:
    """How outputs become classes.

    Attributes:
        decoders: by output name, in the network's order.
        names: the decoders' texts.
        stop: None runs all steps; else decided by the first output.
    """

    decoders: Mapping[str, Decoder]
    names: Mapping[str, str]
    stop: EarlyStop | None

    @staticmethod
    def of(deployment: Program, decode: str | None, early_stop: float | None) -> Rules:
        """The rules of a run.

        Raises:
            OptionError: a decoder that does not exist or suits no output, or a margin not positive.
        """
        network = deployment.network
        outputs = network.of_type(Output)
        names = {output.name: decode or output.readout for output in outputs}
        decoders = {name: Decoder.parse(text) for name, text in names.items()}
        for output in outputs:
            population = network.node[output.inputs[0]]
            state = isinstance(population, Neuron) and population.emit == "state"
            if state and decoders[output.name].kind in OF_SPIKES:
                raise OptionError(
                    "this decoder reads spikes, and the output is a potential",
                    where="--decode",
                    found=f"{decode} of {output.name}",
                    allowed="sum, last, max, leaky",
                )
        if early_stop is None:
            return Rules(decoders, names, None)
        first = outputs[0].name
        if not early_stop > 0 or not np.isfinite(early_stop):
            raise OptionError("must be positive", where="--early-stop", found=early_stop)
        if size_of(network.shapes[first]) < 2:
            raise OptionError(
                "a margin is between two classes", where="--early-stop", found=f"one in {first}"
            )
        return Rules(decoders, names, EarlyStop(first, decoders[first], early_stop))


@dataclass
class Decisions:
    """What the rules decided, batch by batch.

    Attributes:
        predicted: by output, classes per sample.
        ties: by output, samples in which several classes share the best score.
        stopped: with early stopping, steps and synaptic events per batch.
    """

    rules: Rules
    predicted: dict[str, list[IntArray]] = field(default_factory=dict)
    ties: dict[str, int] = field(default_factory=dict)
    stopped: list[Stopped] = field(default_factory=list)

    def add(
        self,
        deployment: Program,
        inputs: Mapping[str, IntArray],
        result: RunResult,
        stopped: Stopped | None,
    ) -> None:
        """Decide a batch; ``stopped`` is what the chip itself did, when the chip ran."""
        stop, taken = self.rules.stop, None
        if stop is not None:
            taken = stop.steps(result.outputs[stop.output])
            assert isinstance(deployment, Deployment)  # phases do not stop early
            self.stopped.append(stopped or logical_events(deployment, inputs, result, taken))
        for name, decoder in self.rules.decoders.items():
            score = _scores(decoder, result.outputs[name], taken)
            self.predicted.setdefault(name, []).append(classes(score))
            self.ties[name] = self.ties.get(name, 0) + tied(score)

    def summary(self) -> dict[str, Any] | None:
        """Early stopping over all batches as JSON values; None without it."""
        stop = self.rules.stop
        if stop is None or not self.stopped:
            return None
        steps, spent, saved = (
            np.concatenate([getattr(part, name) for part in self.stopped])
            for name in ("steps", "spent", "saved")
        )
        total = int(spent.sum() + saved.sum())
        return {
            "output": stop.output,
            "decoder": self.rules.names[stop.output],
            "margin": stop.margin,
            "steps": spread(steps.astype(np.float64)),
            "spent": int(spent.sum()),
            "saved": int(saved.sum()),
            "share_saved": float(saved.sum() / total) if total else 0.0,
        }


def _scores(decoder: Decoder, values: AnyArray, taken: IntArray | None) -> AnyArray:
    """[samples, elements] after the last step, or after the steps each sample took."""
    if taken is None:
        return decoder.scores(values)
    final: AnyArray | None = None
    for step, score in enumerate(decoder.running(values)):
        final = score if final is None else np.where((taken > step)[:, None], score, final)
    assert final is not None  # at least one step
    return final


def logical_events(
    deployment: Deployment, inputs: Mapping[str, IntArray], result: RunResult, taken: IntArray
) -> Stopped:
    """Synaptic events of the steps before and after a stop, without a chip's pipeline.

    Every packet of a spike reads its rows; a spike belongs to the step in which it is sent.
    """
    rows, spike = entries_per_source(deployment), deployment.target.spike
    limit = packet_limit(spike.payload_bits, spike.signed)
    usual = WireCode("graded" if spike.payload_bits else "burst")
    spent, saved = np.zeros(len(taken), np.int64), np.zeros(len(taken), np.int64)

    def book(name: str, sample: IntArray, step: IntArray, index: IntArray, value: IntArray) -> None:
        code = deployment.schedule.codes.get(name, usual)
        cost = code.packets(value, limit) * rows[deployment.sources.first[name] + index]
        early = step < taken[sample]
        np.add.at(spent, sample[early], cost[early])
        np.add.at(saved, sample[~early], cost[~early])

    for name, data in inputs.items():
        flat = data.reshape(*data.shape[:2], -1)
        sample, step, index = np.nonzero(flat)
        book(name, sample, step, index, flat[sample, step, index])
    for population in deployment.network.populations:
        if population.emit != "state":
            e = result.spikes[population.name]
            book(population.name, e.sample, e.step, e.index, e.value)
    return Stopped(taken.astype(np.int64), spent, saved)


def entries_per_source(deployment: Deployment) -> IntArray:
    """[sources] row entries that one packet of a source reads, over all cores."""
    cores = deployment.cores
    # A packet reads one row of a pair of axons; both are equally long.
    length = np.where(cores.axon_sign < 0, 0, cores.rows.lengths)
    total = np.zeros(deployment.sources.total, np.int64)
    np.add.at(total, cores.axon_source, length)
    return total
