"""Scores, predictions and figures."""
