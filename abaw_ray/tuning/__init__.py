"""Sweeps: Ray Tune around `distill`."""
