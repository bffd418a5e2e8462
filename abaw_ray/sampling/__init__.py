"""Which samples a step is made of: balance weights, the order of samples, and which nodes have them. NumPy only."""
