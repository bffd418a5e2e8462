"""Which samples a step is made of: balance weights, and the order of samples. NumPy only."""
