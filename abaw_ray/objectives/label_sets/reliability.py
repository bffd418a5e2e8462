"""How reliable annotators are, from their votes alone: the EM algorithm of Dawid and Skene. NumPy only.

A. P. Dawid and A. M. Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, Applied
Statistics 28 (1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MISSING = -1
"""Of votes: none was given."""

MAX_STEPS = 100
TOLERANCE = 1e-5
"""Change of any probability of a step below which no more is made."""
PSEUDO_COUNT = 0.01
"""Votes of every kind that each annotator is taken to have given beside the real ones: no probability is 0."""


@dataclass(frozen=True)
class Reliability:
    """What is known of a crowd.

    Args:
        shares: (classes,) float64 of the true classes.
        confusion: (annotators, classes, classes) float64, row-stochastic: probability of a vote (last) by true class.
    """

    shares: np.ndarray
    confusion: np.ndarray

    def posterior(self, votes: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) float64 of the true classes, given votes as of `estimate_reliability`.

        Of a row without a vote they are `shares`.
        """
        log_p = np.tile(np.log(self.shares), (len(votes), 1))
        for own, confusion in zip(votes.T, self.confusion, strict=True):
            given = own != MISSING
            log_p[given] += np.log(confusion)[:, own[given]].T
        log_p -= log_p.max(1, keepdims=True)
        p = np.exp(log_p)
        return p / p.sum(1, keepdims=True)


def estimate_reliability(votes: np.ndarray, num_classes: int) -> Reliability:
    """The maximum likelihood estimate, from the votes' shares as the first guess of the truth.

    Args:
        votes: (n, annotators) int, a class from 0 or `MISSING`.
        num_classes: at least 1.
    """
    voted = votes[(votes != MISSING).any(1)]
    counts = (voted[..., None] == np.arange(num_classes)).sum(1)
    p = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    found = _maximised(voted, p)
    for _ in range(MAX_STEPS):
        before, p = p, found.posterior(voted)
        found = _maximised(voted, p)
        if not len(p) or np.abs(p - before).max() < TOLERANCE:
            break
    return found


def _maximised(votes: np.ndarray, p: np.ndarray) -> Reliability:
    """The most likely shares and matrices where the true classes have probabilities p (n, classes)."""
    num_classes = p.shape[1]
    shares = p.sum(0) + PSEUDO_COUNT
    confusion = np.full((votes.shape[1], num_classes, num_classes), PSEUDO_COUNT)
    for own, matrix in zip(votes.T, confusion, strict=True):
        for vote in range(num_classes):
            matrix[:, vote] += p[own == vote].sum(0)
    return Reliability(shares / shares.sum(), confusion / confusion.sum(2, keepdims=True))
