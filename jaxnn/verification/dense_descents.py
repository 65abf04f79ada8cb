"""Second-order descents with every matrix formed: small problems, their derivatives by hand, and loops in NumPy.

A problem is callable as JAX has it, and knows its derivatives in NumPy's doubles, on paper: no line of them is
automatic differentiation, and none is shared with `jaxnn.optimizers`. A descent is a generator of parameters.
"""

from itertools import islice
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse.linalg
import scipy.special

from jaxnn.verification.rows import exact


class LogisticRegression(NamedTuple):
    """`sum_i softplus(x_i w) - t_i x_i w + ridge |w|^2 / 2`: convex; what X does not see is flat but for the ridge."""

    X: np.ndarray
    t: np.ndarray
    ridge: float

    def __call__(self, w):
        z = jnp.asarray(self.X, w.dtype) @ w
        return jnp.sum(jax.nn.softplus(z) - jnp.asarray(self.t, w.dtype) * z) + self.ridge / 2 * jnp.sum(w**2)

    def gradient(self, w):
        return self.X.T @ (scipy.special.expit(self.X @ w) - self.t) + self.ridge * w

    def hessian(self, w):
        p = scipy.special.expit(self.X @ w)
        return self.X.T @ ((p * (1 - p))[:, None] * self.X) + self.ridge * np.eye(len(w))


class SaddledBowl(NamedTuple):
    """`w^T A w / 2 + sum w^4 / 4` of an indefinite A: a saddle at 0, minima around it."""

    A: np.ndarray

    def __call__(self, w):
        return w @ jnp.asarray(self.A, w.dtype) @ w / 2 + jnp.sum(w**4) / 4

    def gradient(self, w):
        return self.A @ w + w**3

    def hessian(self, w):
        return self.A + np.diag(3 * w**2)


class DecayCurve(NamedTuple):
    """Half the squares of `r = a exp(-b t) + c_1 + ... + c_k - y`, w = (a, b, c_1, ..., c_k); k > 1 is of rank 3."""

    t: np.ndarray
    y: np.ndarray

    def __call__(self, w):
        return jnp.sum(self.residual_fn(w) ** 2) / 2

    def residual_fn(self, w):
        """For JAX."""
        t, y = (jnp.asarray(x, w.dtype) for x in self)
        return w[0] * jnp.exp(-w[1] * t) + jnp.sum(w[2:]) - y

    def residuals(self, w):
        """For NumPy."""
        return w[0] * np.exp(-w[1] * self.t) + w[2:].sum() - self.y

    def jacobian(self, w):
        decay = np.exp(-w[1] * self.t)
        return np.stack([decay, -w[0] * self.t * decay, *[np.ones_like(decay)] * (len(w) - 2)], axis=1)


LOG_PARTITIONS = {
    "categorical": lambda u: jax.nn.logsumexp(u, axis=1),
    "bernoulli": lambda u: jnp.sum(jax.nn.softplus(u), axis=1),
    "gaussian": lambda u: jnp.sum(u**2, axis=1) / 2,
    "poisson": lambda u: jnp.sum(jnp.exp(u), axis=1),
}
MEANS = {
    "categorical": lambda u: scipy.special.softmax(u, axis=1),
    "bernoulli": scipy.special.expit,
    "gaussian": lambda u: u,
    "poisson": np.exp,
}
COVARIANCES = {
    "categorical": lambda p: np.diag(p) - np.outer(p, p),
    "bernoulli": lambda p: np.diag(p * (1 - p)),
    "gaussian": lambda mu: np.eye(len(mu)),
    "poisson": np.diag,
}


class BentLinearModel(NamedTuple):
    """The mean of `A(u) - t u`, u = X sinh(W): natural parameters u of a family with the logarithmic partition A.

    For the bent weights the Fisher matrix, `cosh(W) E[x x^T (x) Cov(y | u)] cosh(W)`, is not the Hessian.
    """

    family: str
    X: np.ndarray
    t: np.ndarray

    def __call__(self, W):
        u = self.outputs_fn(W)
        return jnp.mean(LOG_PARTITIONS[self.family](u) - jnp.sum(jnp.asarray(self.t, W.dtype) * u, axis=1))

    def outputs_fn(self, W):
        """For JAX."""
        return jnp.asarray(self.X, W.dtype) @ jnp.sinh(W)

    def gradient(self, W):
        error = MEANS[self.family](self.X @ np.sinh(W)) - self.t
        return (np.cosh(W) * (self.X.T @ error)).ravel() / len(self.X)

    def fisher(self, W):
        means, bend = MEANS[self.family](self.X @ np.sinh(W)), np.cosh(W).ravel()
        F = sum(np.kron(np.outer(x, x), COVARIANCES[self.family](m)) for x, m in zip(self.X, means, strict=True))
        return np.outer(bend, bend) * F / len(self.X)


def around(center, spread: float):
    """Starts that are scattered around a tree, by `rng`."""
    return lambda rng: jax.tree.map(lambda x: np.asarray(x + spread * rng.normal(size=np.shape(x))), center)


_rng = np.random.default_rng(0)
NORMALS, BITS = _rng.normal(size=(30, 4)), _rng.integers(0, 2, (30, 3)).astype(float)
CLASSES = np.eye(3)[_rng.integers(0, 3, 30)]
TIMES, NOISE = np.linspace(0, 4, 25), 0.05 * _rng.normal(size=25)

REGRESSION = LogisticRegression(NORMALS, BITS[:, 0], 0.1)
FLAT_REGRESSION = LogisticRegression(NORMALS * np.array([1.0, 1.0, 0.0, 1.0]), BITS[:, 0], 0.0)
SADDLE = SaddledBowl(np.diag([3.0, -2.0, 1.0, -1.0]) + 0.3 * (np.ones((4, 4)) - np.eye(4)))
CURVE = DecayCurve(TIMES, 2.5 * np.exp(-1.3 * TIMES) + 0.5 + NOISE)
MODELS = [BentLinearModel(family, NORMALS, CLASSES if family == "categorical" else BITS) for family in LOG_PARTITIONS]


def walked(descent, steps: int):
    """The oracle `start -> (steps, ...)` of `descent(w)`, a generator."""
    return lambda start: np.stack(list(islice(descent(exact(start)), steps)))


def along(direction):
    """The descent `w <- w - direction(w)`."""

    def descent(w):
        while True:
            w = w - direction(w).reshape(w.shape)
            yield w

    return descent


def damped(A, damping: float):
    """`A + lambda I`."""
    return A + damping * np.eye(len(A))


def size_of(H):
    """`|H|`: the symmetric factor of the polar decomposition, which SciPy takes from singular values."""
    return scipy.linalg.polar(H)[1]


def conjugate_gradients(A, g, *, rtol=None, maxiter=None):
    """`A^-1 g` by SciPy; to the tolerance `min(1/2, sqrt |g|)` of inexact Newton methods, if to no other."""
    rtol = min(0.5, np.linalg.norm(g) ** 0.5) if rtol is None else rtol
    return scipy.sparse.linalg.cg(A, g, rtol=rtol, atol=0.0, maxiter=maxiter)[0]


def ridge_solution(J, r, damping: float):
    """`(J^T J + lambda I)^-1 J^T r`, by the normal equations."""
    return np.linalg.solve(damped(J.T @ J, damping), J.T @ r)


def krylov_step(H, g):
    """What conjugate gradients reach before H bends down: the minimum over span(g, H g, ...), the largest on which H is
    positive definite; g itself where that bends down. Of a definite H it is Newton's step.
    """
    Q, _ = np.linalg.qr(np.stack([np.linalg.matrix_power(H, k) @ g for k in range(len(g))], axis=1))
    T = Q.T @ H @ Q
    k = sum(
        np.linalg.eigvalsh(T[:j, :j])[0] > 0 for j in range(1, len(g) + 1)
    )  # of nested spaces: none after the first
    return Q[:, :k] @ np.linalg.solve(T[:k, :k], Q[:, :k].T @ g) if k else g


def levenberg_marquardt_by_normal_equations(problem: DecayCurve, damping: float, *, diagonal: bool):
    """Nielsen's rule (1999) with `J^T J` formed; refused steps are yielded too."""

    def descent(w):
        lam, nu = damping, 2.0
        while True:
            r, J = problem.residuals(w), problem.jacobian(w)
            D = np.diag(np.diag(J.T @ J)) if diagonal else np.eye(len(w))
            d = -np.linalg.solve(J.T @ J + lam * D, J.T @ r)
            new, straight = problem.residuals(w + d), r + J @ d
            rho = (r @ r - new @ new) / (r @ r - straight @ straight)
            if rho > 0:
                w, lam, nu = w + d, lam * max(1 / 3, 1 - (2 * rho - 1) ** 3), 2.0
            else:
                lam, nu = lam * nu, 2 * nu
            yield w

    return descent


def whole_matrix_bfgs(gradient, learning_rate: float, memory: int):
    """`P <- (I - rho s y^T) P (I - rho y s^T) + rho s s^T` of the last pairs that bend up, from `gamma I`."""

    def descent(w):
        points, gradients = [w], [gradient(w)]
        while True:
            S, Y = (np.diff(np.array(rows), axis=0) for rows in (points, gradients))
            pairs = [(s, y) for s, y in zip(S, Y, strict=True) if s @ y > 0][-memory:]
            gamma = min(1, 1 / np.linalg.norm(gradients[-1]))
            for s, y in pairs[-1:]:
                gamma = s @ y / (y @ y)
            P = gamma * np.eye(len(w))
            for s, y in pairs:
                V = np.eye(len(w)) - np.outer(y, s) / (s @ y)
                P = V.T @ P @ V + np.outer(s, s) / (s @ y)
            w = w - learning_rate * P @ gradients[-1]
            points.append(w)
            gradients.append(gradient(w))
            yield w

    return descent


def minimum_by_minpack(problem: DecayCurve):
    """The end of `scipy.optimize.least_squares` by MINPACK's Levenberg-Marquardt (More 1978)."""
    options = {"jac": problem.jacobian, "method": "lm", "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    return lambda start: scipy.optimize.least_squares(problem.residuals, exact(start), **options).x


def roots_by_scipy(function, derivative, steps: int):
    """The path of `scipy.optimize.newton` to a root of each coordinate by itself."""
    options = {"fprime": derivative, "tol": 1e-300, "disp": False, "full_output": True}

    def after(k, start):
        return [scipy.optimize.newton(function, x, maxiter=k, **options)[0] for x in start]

    return lambda start: np.array([after(k, exact(start)) for k in range(1, steps + 1)])
