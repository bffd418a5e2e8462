"""Which samples a step is made of. NumPy only."""
