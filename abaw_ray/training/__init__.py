"""Training: the loop, and Ray Train around it."""
