"""BLEU scores a translation by the share of its word sequences (n-grams) that are in the references.

It runs on the host, over any hashable tokens.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

Tokens = Sequence[Hashable] | np.ndarray


class BleuCounts(NamedTuple):
    """Holds the counts of BLEU; the counts of sentences add up (with `metrics.merge`) to those of the corpus."""

    matches: np.ndarray
    """Counts the n-grams of the candidates that are in a reference, clipped, for n = 1..N: (N,)."""
    totals: np.ndarray
    """Counts all n-grams of the candidates: (N,)."""
    length: int
    """Counts the tokens of the candidates."""
    reference_length: int
    """Counts the tokens of the references that are nearest in length."""


def bleu_counts(candidate: Tokens, references: Sequence[Tokens] | np.ndarray, *, order: int = 4) -> BleuCounts:
    """Counts the n-gram matches of one sentence against one or more references.

    An n-gram matches as often as it is in the candidate, but at most as often as it is in the one reference that has it
    most often. If there are several references, the one nearest in length counts for the brevity penalty; of two
    equally near ones, the shorter.

    Args:
      candidate: tokens (words or integers), without padding and end markers.
      references: sequences of tokens, at least one.
      order: N, the length of the longest n-grams.

    Raises:
      ValueError: if a str is passed in place of tokens, there are no references, or `order` is below 1.

    >>> bleu_counts("the the the cat".split(), ["the cat sat".split(), "see the cat".split()], order=2)
    BleuCounts(matches=array([2, 1]), totals=array([4, 3]), length=4, reference_length=3)
    """
    if isinstance(candidate, str) or isinstance(references, str) or any(isinstance(r, str) for r in references):
        raise ValueError("`candidate` must be a sequence of tokens and `references` of such; received a str. Split it?")
    if len(references) == 0 or order < 1:
        raise ValueError(
            "`references` must be at least one sequence, and `order` at least 1; received "
            f"{len(references)} and {order}. Is a single reference without its list?"
        )
    matches, totals = np.zeros(order, int), np.zeros(order, int)
    for i in range(order):
        ours, theirs = _n_grams(candidate, i + 1), Counter()
        for reference in references:
            theirs |= _n_grams(reference, i + 1)  # the larger count of each
        matches[i], totals[i] = (ours & theirs).total(), ours.total()
    length = len(candidate)
    nearest = min((len(reference) for reference in references), key=lambda r: (abs(r - length), r))
    return BleuCounts(matches, totals, length, nearest)


def bleu(counts: BleuCounts, *, smoothing: float = 0.0) -> float:
    """Computes the BLEU score `B exp(mean_n log(matches_n / totals_n))`, in [0, 1], of a whole corpus.

    Papers print it times 100. The brevity penalty B is 1 if the candidates have at least the references' length r, else
    `exp(1 - r / length)`. Without smoothing, a corpus with no match of some order, or with no n-grams of that order,
    scores 0. The score depends on how the text was split into tokens. It differs from the mean of the sentences'
    scores.

    Args:
      counts: merged over the corpus.
      smoothing: is added to matches and totals of n > 1; 1 is the value of Lin and Och (2004), for single sentences.

    Raises:
      ValueError: if `smoothing` is negative.

    Papineni, Roukos, Ward and Zhu 2002, Bleu: a method for automatic evaluation of machine translation.

    >>> counts = bleu_counts("the cat sat on a mat".split(), ["the cat sat on the mat".split()])
    >>> round(bleu(counts), 4)  # (5/6 3/5 2/4 1/3)^(1/4)
    0.5373
    """
    if not smoothing >= 0:
        raise ValueError(f"`smoothing` must be at least 0; received {smoothing}. Lin and Och add 1.")
    added = np.where(np.arange(len(counts.matches)) > 0, smoothing, 0.0)
    matches, totals = counts.matches + added, counts.totals + added
    if matches.min() <= 0:
        return 0.0
    brevity = min(0.0, 1 - counts.reference_length / counts.length)
    return math.exp(brevity + np.log(matches / totals).mean())


def _n_grams(tokens, n):
    tokens = tuple(tokens)
    return Counter(tokens[i : i + n] for i in range(len(tokens) - n + 1))
