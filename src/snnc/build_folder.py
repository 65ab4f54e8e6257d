"""The folder one compilation can leave behind: everything to see what happened, and to repeat it.

``log.txt``, ``time_per_stage.json``, ``config.json`` (for ``--config``), ``ir/<stage>.json`` with
arrays in ``ir/<stage>.npz``, ``report.json`` and ``report.html``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnc.compiler.dump import make_folder
from snnc.compiler.options import CompileOptions
from snnc.ir.atomic import write_bytes
from snnc.ir.errors import OptionError, SnncError
from snnc.ir.phased import PhasedDeployment
from snnc.reporting.html import write_html
from snnc.results import CompileResult, Report

CONFIG_SCHEMA = "snnc-config/1"
MAX_BYTES = 1 << 20
"""Of a configuration."""


class BuildFolder:
    """Creates the folder on construction, so that an unwritable path fails before any work."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ir = path / "ir"
        make_folder(self.ir)
        write_bytes(path / "log.txt", b"")

    def write(self, model: Path, options: CompileOptions, result: CompileResult) -> None:
        """Write all files but the dumped stages, which the pipeline writes as they end.

        Raises:
            OutputError: the folder cannot be written.
        """
        self._json("config.json", {"schema": CONFIG_SCHEMA, "options": options.to_dict()})
        self._json("time_per_stage.json", dict(result.seconds))
        lines = [*_log(model, options, result.seconds), *(f"note: {n}" for n in result.notes)]
        lines.append(f"stopped after {result.stopped_after}; artifact {result.artifact}")
        self._log(lines)
        if result.deployment is not None:
            deployment = result.deployment
            report = Report(model.name, deployment.report, deployment.provenance)
            self._json("report.json", report.as_dict())
            if not isinstance(deployment, PhasedDeployment):
                write_html(report, self.path / "report.html")
                return
            for number, row in enumerate(deployment.report["phases"]):
                phase = Report(model.name, row["report"], deployment.provenance)
                write_html(phase, self.path / f"report-phase-{number + 1}.html")

    def write_failure(
        self, model: Path, options: CompileOptions, seconds: Mapping[str, float], error: SnncError
    ) -> None:
        """Leave the configuration, the stages that ended, and why the next one did not."""
        self._json("config.json", {"schema": CONFIG_SCHEMA, "options": options.to_dict()})
        self._json("time_per_stage.json", dict(seconds))
        self._log([*_log(model, options, seconds), f"error: {error}"])

    def _log(self, lines: list[str]) -> None:
        write_bytes(self.path / "log.txt", ("\n".join(lines) + "\n").encode())

    def _json(self, name: str, value: Mapping[str, Any]) -> None:
        write_bytes(self.path / name, (json.dumps(value, indent=2) + "\n").encode())


def configured(config: Path | None, given: Mapping[str, Any]) -> CompileOptions:
    """Options from a ``config.json``, overridden by those given on the command line.

    Raises:
        OptionError: the file is unreadable or not a configuration.
    """
    stored: Mapping[str, Any] = {} if config is None else _stored(config)
    return CompileOptions.from_dict({**stored, **given})


def _stored(config: Path) -> Mapping[str, Any]:
    try:
        with config.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        value = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise OptionError(
            "the configuration cannot be read", where=str(config), found=str(error)
        ) from error
    schema = value.get("schema") if isinstance(value, dict) else type(value).__name__
    options = value.get("options") if isinstance(value, dict) else None
    if schema != CONFIG_SCHEMA or not isinstance(options, dict):
        raise OptionError(
            "not a configuration",
            where=str(config),
            found=f"schema {schema}",
            allowed=f"schema {CONFIG_SCHEMA}, as config.json in a --build-dir",
        )
    return options


def _log(model: Path, options: CompileOptions, seconds: Mapping[str, float]) -> list[str]:
    lines = [f"model {model}", f"options {options}"]
    return lines + [f"{stage:<12}{value:9.3f} s" for stage, value in seconds.items()]
