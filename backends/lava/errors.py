"""What can go wrong between snnc and Lava."""

from __future__ import annotations

from typing import ClassVar

from snnc.ir.errors import SnncError


class LavaError(SnncError):
    """Lava is missing, of another version, hangs, crashes, or refuses a network."""

    code: ClassVar[str] = "lava"
    default_remedy: ClassVar[str] = "`snnc doctor` says what is installed and what is missing"
