"""Retrieval metrics measure how high the right neighbours of an embedding rank, such as embeddings of faces."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxnn.naming import unknown

_SIMILARITIES = ("cosine", "dot")
Embeddings = Float[Array, "m d"]
Labels = Int[Array, " m"]


def recall_at_k(
    queries: Float[Array, "n d"],
    labels: Int[Array, " n"],
    *,
    k: int,
    gallery: Embeddings | None = None,
    gallery_labels: Labels | None = None,
    similarity: str = "cosine",
) -> Float[Array, " n"]:
    """Returns 1 where one of the k most similar items of the gallery has the query's label, else 0.

    The mean over queries is Recall@K of metric learning (Song et al. 2015, arXiv 1511.06452). A query counts as 0 if no
    item that it can find has its label. A tie goes to the item that comes first.

    Args:
      queries: (n, d).
      labels: (n,), of the queries.
      k: from 1 to the number of items that can be found.
      gallery: (m, d), without padding; by default the queries, and then no query finds itself.
      gallery_labels: (m,).
      similarity: "cosine" or "dot". For the Euclidean distance normalize both: then the cosine gives the same ranking.

    Raises:
      ValueError: if k is out of range, the similarity is unknown, or a gallery has no labels.

    >>> x = jnp.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> recall_at_k(x, jnp.array([0, 0, 1]), k=1).tolist()
    [1.0, 1.0, 0.0]
    """
    alike, right = _ranking(queries, labels, gallery, gallery_labels, similarity)
    findable = alike.shape[1] - (gallery is None)
    if not 1 <= k <= findable:
        raise ValueError(f"`k` must lie in 1..{findable}, the size of the gallery (less the query); received {k}.")
    nearest = jax.lax.top_k(alike, k)[1]
    return jnp.take_along_axis(right, nearest, axis=1).any(axis=1).astype(jnp.float32)


def average_precision(
    queries: Float[Array, "n d"],
    labels: Int[Array, " n"],
    *,
    gallery: Embeddings | None = None,
    gallery_labels: Labels | None = None,
    similarity: str = "cosine",
) -> Float[Array, " n"]:
    """Computes for each query the mean of the precision at the ranks of its right items; it is 1 if they come first.

    `AP = (1/R) sum_r precision(rank of the r-th right item)`, and 0 for a query without right items (R = 0). The mean
    over queries is the mean average precision. Arguments and errors are those of `recall_at_k`.

    Manning, Raghavan and Schuetze 2008, Introduction to information retrieval, 8.4.

    >>> x = jnp.array([[1.0, 0.0]])
    >>> items = jnp.array([[0.9, 0.1], [1.0, 0.0], [0.5, 0.5]])  # right: the second nearest and the third
    >>> average_precision(x, jnp.array([7]), gallery=items, gallery_labels=jnp.array([7, 0, 7])).round(4)
    Array([0.5833], dtype=float32)
    """
    alike, right = _ranking(queries, labels, gallery, gallery_labels, similarity)
    ranked = jnp.take_along_axis(right, jnp.argsort(-alike, axis=1), axis=1).astype(jnp.float32)
    precision = jnp.cumsum(ranked, axis=1) / jnp.arange(1, ranked.shape[1] + 1, dtype=jnp.float32)[None]
    return jnp.sum(precision * ranked, axis=1) / jnp.maximum(jnp.sum(ranked, axis=1), 1)


def _ranking(queries, labels, gallery, gallery_labels, similarity):
    """Returns the similarities (n, m), -inf between a query and itself, and a mask of the right items."""
    if similarity not in _SIMILARITIES:
        raise unknown("similarity", similarity, _SIMILARITIES)
    if (gallery is None) != (gallery_labels is None):
        missing = "gallery" if gallery is None else "gallery_labels"
        raise ValueError(f"`gallery` and `gallery_labels` must be given together; received no `{missing}`.")
    itself = jnp.eye(len(queries), dtype=bool) if gallery is None else jnp.zeros((len(queries), len(gallery)), bool)
    items, names = (queries, labels) if gallery is None else (gallery, gallery_labels)
    a, b = (_directions(x) if similarity == "cosine" else _wide(x) for x in (queries, items))
    alike = jnp.matmul(a, b.T, precision="highest")
    return jnp.where(itself, -jnp.inf, alike), (labels[:, None] == names[None, :]) & ~itself


def _directions(x):
    wide = _wide(x)
    return wide / jnp.maximum(jnp.linalg.norm(wide, axis=1, keepdims=True), jnp.finfo(wide.dtype).tiny)


def _wide(x):
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
