"""The ``snnc`` command."""

from snnc.cli.shell import main

__all__ = ["main"]
