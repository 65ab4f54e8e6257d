"""What another arithmetic costs: accuracy on labelled calibration data, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snnc.inputs import Dataset, integer_batch
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Output
from snnc.simulators import functional
from snnc.simulators.result import predictions

if TYPE_CHECKING:
    from snnc.compiler.pipeline import Compilation

SAMPLES = 256


def measured(job: Compilation, data: Dataset | None) -> dict[str, Any] | None:
    """Correct answers under the chosen arithmetic and under the chip's own; None without labels.

    Args:
        job: a finished compilation.
        data: its calibration data.
    """
    if job.options.semantics == "chip" or data is None or data.labels is None:
        return None
    samples = min(SAMPLES, data.samples)
    return {
        "name": job.options.semantics,
        "samples": samples,
        "correct": _correct(job.results["legalize"], data, samples),
        "correct_chip": _correct(job.with_semantics("chip"), data, samples),
    }


def sentence(effect: dict[str, Any]) -> str:
    """The effect for people."""
    return (
        f"{effect['name']} semantics: {effect['correct']} of {effect['samples']} calibration "
        f"samples correct, {effect['correct_chip']} with the chip's own arithmetic"
    )


def _correct(network: IntegerNetwork, data: Dataset, samples: int) -> int:
    inputs = integer_batch(data.batch(0, samples), network.of_type(Input))
    result = functional.run(network, inputs, ())
    output = network.of_type(Output)[0]
    assert data.labels is not None
    found = predictions(result.outputs[output.name], output.readout)
    return int((found == data.labels[:samples]).sum())
