"""Scores, figures and predictions."""
