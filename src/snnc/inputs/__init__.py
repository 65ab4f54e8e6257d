"""Input data: ``.npz`` arrays, event-camera recordings, encoders; onto a network's inputs."""

from snnc.inputs.dataset import Dataset, InputOptions, load
from snnc.inputs.grid import integer_batch, typical_and_extreme

__all__ = ["Dataset", "InputOptions", "integer_batch", "load", "typical_and_extreme"]
