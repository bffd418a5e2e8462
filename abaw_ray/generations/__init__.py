"""Ensembles that learn from the ensemble before them, generation after generation."""
