"""snnc: compile trained spiking neural networks to neuromorphic chips, bit-exactly."""

__version__ = "0.1.0"
