"""The one family of errors a user of snnc can meet.

Every error says four things: where it is (file, node, core, option), what was found, what is
allowed, and what to do next.  The command line prints them on one screen and exits with code 2.
"""

from __future__ import annotations

from typing import ClassVar


class SnncError(Exception):
    """Base of all errors that a wrong input, model, target or option can cause.

    Attributes:
        problem: one sentence, what is wrong.
        where: file, node, field, core or option concerned.
        found: the value or fact found.
        allowed: what the format, target or option allows.
        remedy: what the user can do next; where the place that raises knows nothing more
            special, it is the ``default_remedy`` of the class, so that no error ends without one.
    """

    code: ClassVar[str] = "error"
    default_remedy: ClassVar[str] = "see the documentation in docs/"

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        found: object = "",
        allowed: object = "",
        remedy: str = "",
    ) -> None:
        self.problem = problem
        self.where = where
        self.found = str(found)
        self.allowed = str(allowed)
        self.remedy = remedy or self.default_remedy
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [f"{self.where}: {self.problem}" if self.where else self.problem]
        for label, value in (
            ("found", self.found),
            ("allowed", self.allowed),
            ("what to do", self.remedy),
        ):
            if value:
                lines.append(f"  {label}: {value}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, str]:
        """Return the error as the JSON object printed under ``--json``."""
        return {
            "error": self.code,
            "problem": self.problem,
            "where": self.where,
            "found": self.found,
            "allowed": self.allowed,
            "remedy": self.remedy,
        }


class ModelFileError(SnncError):
    """The model file cannot be read: not the format it claims, truncated, too large."""

    code = "model-file"
    default_remedy = "check the path, or export the model again"


class ModelError(SnncError):
    """The model was read but is not a valid network: shapes, edges, numbers."""

    code = "model"
    default_remedy = (
        "correct the model and export it again; `snnc inspect MODEL` shows what the file holds"
    )


class UnsupportedError(SnncError):
    """A valid network asks for something the target or this compiler cannot express."""

    code = "unsupported"
    default_remedy = (
        "choose another target or change the node; `snnc check MODEL --target NAME` tells of each"
    )


class CapacityError(SnncError):
    """The network does not fit the target."""

    code = "capacity"
    default_remedy = "give more chips (--chips), fewer bits (--weight-bits) or a larger target"


class TargetError(SnncError):
    """A target description is unknown or invalid."""

    code = "target"
    default_remedy = "correct the target file; docs/targets.md lists the fields"


class InputError(SnncError):
    """Input data has the wrong shape, type, range or format."""

    code = "input"
    default_remedy = "correct the data; README.md says which files and shapes are read"


class ArtifactError(SnncError):
    """A ``.snnc`` file is corrupted, tampered with, or of another version."""

    code = "artifact"
    default_remedy = "create the file again with `snnc compile`"


class MissingPackageError(SnncError):
    """An optional package is needed for what was asked, and is not installed."""

    code = "missing-package"
    default_remedy = "install it with pip"


class OutputError(SnncError):
    """A result cannot be written where the user asked."""

    code = "output"
    default_remedy = "choose another path, or make room there"


class OptionError(SnncError):
    """A command-line option or function argument has a value that is not allowed."""

    code = "option"
    default_remedy = "give an allowed value; --help lists the options"


class VerificationError(SnncError):
    """The independent checker found a deployment that breaks a rule or differs."""

    code = "verification"
    default_remedy = "compile again; if it stays, report it with the model and the command"


class SimulationError(SnncError):
    """A simulation cannot go on: deadlock, deadline, overflow in strict mode."""

    code = "simulation"
    default_remedy = "run `snnc verify` on the artifact, and report it if that finds nothing"


class CompilerBugError(SnncError):
    """An invariant broke between two passes: a defect in snnc, not in the input."""

    code = "internal"
    default_remedy = "report it, with the model and the command"
