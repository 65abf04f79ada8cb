"""BLEU against the paper's own examples, published scores, and the definition written otherwise."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnn.metrics import BleuCounts, bleu, bleu_counts, merge

COVERS = {"metrics.BleuCounts", "metrics.bleu", "metrics.bleu_counts"}

words = str.split

GUIDE = [
    words("It is a guide to action that ensures that the military will forever heed Party commands"),
    words(
        "It is the guiding principle which guarantees the military forces always being under the command of the Party"
    ),
    words("It is the practical guide for the army always to heed the directions of the party"),
]
FIRST = words("It is a guide to action which ensures that the military always obeys the commands of the party")
SECOND = words("It is to insure the troops forever hearing the activity guidebook that party direct")


def test_the_examples_of_the_paper():
    """Papineni et al. 2002, section 2: 17/18 and 8/14 of the words, 10/17 and 1/13 of the pairs; "the" counts twice."""
    first, second = bleu_counts(FIRST, GUIDE), bleu_counts(SECOND, GUIDE)
    assert (first.matches[:2].tolist(), first.totals[:2].tolist()) == ([17, 10], [18, 17])
    assert (second.matches[:2].tolist(), second.totals[:2].tolist()) == ([8, 1], [14, 13])
    the = bleu_counts(["the"] * 7, [words("the cat is on the mat"), words("there is a cat on the mat")])
    assert (the.matches.tolist(), the.totals.tolist()) == ([2, 0, 0, 0], [7, 6, 5, 4])


def test_scores_that_nltk_documents():
    """Two sentences: 0.5920 together, 0.6223 on average (NLTK's documentation of `corpus_bleu`)."""
    pairs = [
        (FIRST, GUIDE),
        (
            words("he read the book because he was interested in world history"),
            [words("he was interested in world history because he read the book")],
        ),
    ]
    counts = [bleu_counts(*pair) for pair in pairs]
    assert int(bleu(merge(*counts)) * 1e4) == 5920
    assert int(np.mean([bleu(c) for c in counts]) * 1e4) == 6223


sentences = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@given(candidate=sentences, references=st.lists(sentences, min_size=1, max_size=3))
def test_counts_by_the_definition(candidate, references):
    """Each n-gram of the candidate counted by looking at every place of every sentence."""
    counts = bleu_counts(candidate, references)
    for n in range(1, 5):
        grams = lambda s, n=n: [s[i : i + n] for i in range(len(s) - n + 1)]
        ours = grams(candidate)
        distinct = [gram for i, gram in enumerate(ours) if gram not in ours[:i]]
        clipped = [min(ours.count(g), max(grams(r).count(g) for r in references)) for g in distinct]
        assert (counts.matches[n - 1], counts.totals[n - 1]) == (sum(clipped), len(ours))
    assert counts.length == len(candidate)
    distance = abs(counts.reference_length - len(candidate))
    assert all(distance <= abs(len(r) - len(candidate)) for r in references)
    score = bleu(counts)
    product = math.prod(
        Fraction(int(m), int(t)) if t else 0 for m, t in zip(counts.matches, counts.totals, strict=True)
    )
    short = max(0, counts.reference_length - counts.length) / counts.length
    assert score == pytest.approx(math.exp(-short) * float(product) ** 0.25)
    assert 0 <= score <= 1


def test_the_nearest_length_counts_and_of_two_the_shorter():
    lengths = lambda n, *others: bleu_counts(["a"] * n, [["a"] * m for m in others]).reference_length
    assert lengths(10, 12, 8) == 8
    assert lengths(10, 8, 12) == 8
    assert lengths(10, 11, 8) == 11


def test_one_for_a_copy_and_the_penalty_for_half_of_one():
    sentence = list(range(20))
    assert bleu(bleu_counts(sentence, [sentence])) == 1
    assert bleu(bleu_counts(sentence[:10], [sentence])) == pytest.approx(math.exp(-1))
    assert bleu(bleu_counts(sentence + sentence, [sentence])) < 0.5  # too long: its precision falls


def test_smoothing():
    counts = bleu_counts(words("a b c d"), [words("a b x d")])  # 3/4, 1/3, 0/2, 0/1
    assert bleu(counts) == 0
    assert bleu(counts, smoothing=1) == pytest.approx((3 / 4 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25)  # Lin and Och
    assert bleu(counts, smoothing=1e-9) < 1e-3
    assert bleu(bleu_counts(list("xyz"), [list("abc")]), smoothing=1) == 0  # not a word is right


def test_nothing_scores_nothing():
    assert bleu(bleu_counts([], [["a"]])) == 0
    assert bleu(bleu_counts(["a"], [["a"]])) == 0  # no pairs
    assert bleu(bleu_counts(["a"], [["a"]], order=1)) == 1
    assert bleu(bleu_counts([], [[]]), smoothing=1) == 0


def test_tokens_may_be_arrays_and_counts_stay_integers():
    counts = bleu_counts(np.arange(6), [np.arange(6)])
    assert bleu(counts) == 1
    assert counts.matches.dtype.kind == "i"
    assert isinstance(counts, BleuCounts)


@pytest.mark.parametrize(
    ("arguments", "order", "message"),
    [
        (("the cat", [["the", "cat"]]), 4, "`candidate` must be a sequence of tokens .* received a str"),
        ((["the"], "the"), 4, "received a str"),
        ((["the"], ["the"]), 4, "received a str"),
        ((["the"], []), 4, "`references` must be at least one sequence.*; received 0 and 4"),
        ((["the"], [["the"]]), 0, "received 1 and 0"),
    ],
)
def test_refuses(arguments, order, message):
    with pytest.raises(ValueError, match=message):
        bleu_counts(*arguments, order=order)


def test_refuses_a_negative_smoothing():
    with pytest.raises(ValueError, match="`smoothing` must be at least 0; received -1"):
        bleu(bleu_counts(["a"], [["a"]]), smoothing=-1)
