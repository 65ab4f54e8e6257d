"""Input data: ``.npz`` arrays, event-camera recordings, encoders; onto a network's inputs."""

from snnc.inputs.dataset import Dataset, InputOptions, integer_batch, load

__all__ = ["Dataset", "InputOptions", "integer_batch", "load"]
