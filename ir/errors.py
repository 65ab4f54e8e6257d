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
        remedy: what the user can do next.
    """

    code: ClassVar[str] = "error"

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
        self.remedy = remedy
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


class ModelError(SnncError):
    """The model was read but is not a valid network: shapes, edges, numbers."""

    code = "model"


class UnsupportedError(SnncError):
    """A valid network asks for something the target or this compiler cannot express."""

    code = "unsupported"


class CapacityError(SnncError):
    """The network does not fit the target."""

    code = "capacity"


class TargetError(SnncError):
    """A target description is unknown or invalid."""

    code = "target"


class InputError(SnncError):
    """Input data has the wrong shape, type, range or format."""

    code = "input"


class ArtifactError(SnncError):
    """A ``.snnc`` file is corrupted, tampered with, or of another version."""

    code = "artifact"


class OutputError(SnncError):
    """A result cannot be written where the user asked."""

    code = "output"


class OptionError(SnncError):
    """A command-line option or function argument has a value that is not allowed."""

    code = "option"


class VerificationError(SnncError):
    """The independent checker found a deployment that breaks a rule or differs."""

    code = "verification"


class SimulationError(SnncError):
    """A simulation cannot go on: deadlock, deadline, overflow in strict mode."""

    code = "simulation"


class CompilerBugError(SnncError):
    """An invariant broke between two passes: a defect in snnc, not in the input."""

    code = "internal"
