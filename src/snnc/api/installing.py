"""This installation: what it has, what can be added, and whether it works."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from snnc.api.arguments import AnyPath, OnStage, silent
from snnc.api.compiling import compile
from snnc.api.running import run
from snnc.ir.errors import OptionError
from snnc.results import CompileResult, Demo

if TYPE_CHECKING:
    from snnc.environment import Doctor, SetupResult
    from snnc.running import Progress


def doctor() -> Doctor:
    """Say what is installed, what is missing and why; starts interpreters that may have Lava."""
    from snnc import environment

    return environment.doctor()


def setup(
    what: str, folder: AnyPath | None = None, *, on_command: Callable[[str], None] = silent
) -> SetupResult:
    """Make an environment for something that cannot live in snnc's own; see docs/lava.md.

    Args:
        what: "lava".
        folder: where; None takes the place where snnc looks for it.
        on_command: called with every command before it runs.

    Raises:
        SnncError: a command failed, or the result does not work.
    """
    from snnc import environment

    return environment.setup(what, None if folder is None else Path(folder), on_command)


def demo(
    output: AnyPath | None = None,
    *,
    samples: int | None = None,
    on_stage: OnStage = silent,
    on_compiled: Callable[[CompileResult], None] = silent,
    on_progress: Progress = silent,
) -> Demo:
    """Compile the shipped digits network for ``loihi1`` and run its test images on the chip.

    Args:
        output: keep the artifact here.
        samples: run only the first so many images; all are compared with the reference.
        on_stage, on_progress: as in ``compile`` and ``run``.
        on_compiled: called between the two.
    """
    from snnc.compiler.options import CompileOptions
    from snnc.inputs import InputOptions

    if samples is not None and samples < 1:
        raise OptionError("must be at least 1", where="--samples", found=samples)
    data = files("snnc") / "demo_data"
    with as_file(data / "digits_cnn.nir") as model, as_file(data / "digits_test.npz") as images:
        inputs = InputOptions(encode="direct")
        options = CompileOptions(target="loihi1", timesteps=10)
        compiled = compile(
            model, options, output=output, calibration=images, inputs=inputs, on_stage=on_stage
        )
        on_compiled(compiled)
        assert compiled.deployment is not None  # no stop_after
        ran = run(
            compiled.deployment, images, samples=samples, compare=10**9, on_progress=on_progress
        )
    return Demo(compiled, ran)
