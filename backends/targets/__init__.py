"""Chip descriptions as data: YAML files in this folder, read by ``load``."""

from snnc.backends.targets.check import check_target, load_sound
from snnc.backends.targets.loader import load, names

__all__ = ["check_target", "load", "load_sound", "names"]
