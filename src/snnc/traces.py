"""``--trace``: spikes of a run, and the chip's time series, as one ``.npz``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import write_bytes
from snnc.simulators.result import RunResult

_OVER_SAMPLES = ("spikes", "tick_cycles", "channel_load")


def write_trace(path: Path, results: Sequence[RunResult], chip: Sequence[Any]) -> None:
    """Write a trace atomically.

    Keys: ``<population>.sample``, ``.step``, ``.index``, ``.value`` (one entry per nonzero
    output, in logical time), ``output.<name>`` [samples, steps, *shape], and from the cycle
    simulator ``chip.<series>`` (see ``snnc.simulators.cycle.result.Trace``).

    Raises:
        OutputError: the path cannot be written.
    """
    arrays: dict[str, AnyArray] = {}
    starts = np.cumsum([0, *(_samples(result) for result in results)])
    for name in results[0].spikes:
        parts = [result.spikes[name] for result in results]
        samples = [p.sample + start for p, start in zip(parts, starts, strict=False)]
        arrays[f"{name}.sample"] = np.concatenate(samples).astype(np.int32)
        for field in ("step", "index", "value"):
            arrays[f"{name}.{field}"] = np.concatenate([getattr(p, field) for p in parts])
    for name in results[0].outputs:
        arrays[f"output.{name}"] = np.concatenate([result.outputs[name] for result in results])
    arrays |= _chip_arrays(chip)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def _chip_arrays(chip: Sequence[Any]) -> dict[str, AnyArray]:
    tables = [trace.arrays() for trace in chip if trace is not None]
    if not tables:
        return {}
    return {
        f"chip.{name}": np.concatenate([t[name] for t in tables]) if name in _OVER_SAMPLES else
        tables[0][name]
        for name in tables[0]
    }  # fmt: skip


def _samples(result: RunResult) -> int:
    return len(next(iter(result.outputs.values())))
