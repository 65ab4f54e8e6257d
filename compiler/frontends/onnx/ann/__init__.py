"""Trained ANNs to spiking networks."""
