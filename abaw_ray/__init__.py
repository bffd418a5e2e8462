"""Distributed multi-task emotion recognition from several databases with missing labels, on Ray."""
