"""The arguments that several functions take: artifacts, their data, files to write, callbacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.ir.atomic import check_separate, check_writable
from snnc.ir.errors import OptionError

if TYPE_CHECKING:
    from snnc.inputs import Dataset, InputOptions
    from snnc.ir.deployment import Deployment
    from snnc.ir.phased import Program

AnyPath = str | Path
OnStage = Callable[[str, float | None], None]


def silent(*_: object) -> None:
    """For callers that show no progress."""


def check_output(output: Path, *sources: object) -> None:
    """Raise ``OutputError`` early where the output cannot be written or is one of the inputs."""
    check_writable(output)
    check_separate(output, *(Path(s) for s in sources if isinstance(s, str | Path)))


def one_phase(deployment: AnyPath | Deployment) -> Deployment:
    """A program of one phase."""
    from snnc.ir import artifact
    from snnc.ir.phased import PhasedDeployment

    if isinstance(deployment, str | Path):
        return artifact.read(Path(deployment))
    if isinstance(deployment, PhasedDeployment):
        raise artifact.several_phases(deployment, deployment.network.name)
    return deployment


def opened(deployment: AnyPath | Program) -> Program:
    """The program of an artifact, or the one given."""
    from snnc.ir import artifact

    if isinstance(deployment, str | Path):
        return artifact.read_program(Path(deployment))
    return deployment


def loaded(
    deployment: Program, path: AnyPath, inputs: InputOptions, samples: int | None
) -> Dataset:
    """Load data as the network was compiled for, where the options leave it open."""
    from snnc.inputs import load
    from snnc.ir.nodes import Input

    steps = deployment.timesteps
    if inputs.timesteps not in (None, steps):
        raise OptionError(
            "the artifact runs a fixed number of time steps",
            where="--timesteps",
            found=inputs.timesteps,
            allowed=steps,
            remedy="compile again with another --timesteps",
        )
    chosen = dataclasses.replace(as_compiled(deployment, inputs), timesteps=steps)
    return load(Path(path), deployment.network.of_type(Input), chosen, samples)


def as_compiled(deployment: Program, inputs: InputOptions) -> InputOptions:
    """What the options leave open is as the network was compiled."""
    recorded = deployment.provenance.get("inputs")
    compiled_for: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    return dataclasses.replace(
        inputs,
        usual_encode=compiled_for.get("encode") or inputs.usual_encode,
        usual_bin_us=compiled_for.get("bin_us") or inputs.usual_bin_us,
    )
