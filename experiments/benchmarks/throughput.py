"""Training images/s of jaxnn and its peers on MNIST: the same network, optimizer, data and batch size for each."""

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace

import numpy as np
from measuring import NOT_INSTALLED, Program, Report, Target, cores, in_turn, installed, median_ratio, run_program

from jaxnn.data import load

JAXNN = Program("jaxnn `fit`", "jaxnn_fit.py")
PYTORCH = Program("PyTorch eager", "pytorch_eager.py", requires="torch")
KERAS = Program("Keras on JAX", "keras_on_jax.py", requires="keras")
FLAX = Program("Flax + Optax, host loop", "flax_host_loop.py")
PROGRAMS = (JAXNN, PYTORCH, KERAS, FLAX)
HEADER = ("program", "images/s, median", "range over rounds", "jaxnn is faster by")


@dataclass(frozen=True)
class Settings:
    """Options that the throughput benchmarks share."""

    batch_size: int = 128
    rounds: int = 5
    epochs: int = 2  # timed; one more before them is not
    examples: int = 60_000
    learning_rate: float = 1e-3
    peers_python: str = sys.executable  # the interpreter that has torch and keras
    smoke: bool = False  # seconds, figures without meaning
    record: bool = False  # write the section of RESULTS.md


def compare(network: str, settings: Settings, bounds: dict[Program, float]) -> Report:
    """The table of all programs; `bounds` says by how much jaxnn is to be faster than each."""
    if settings.smoke:
        settings = replace(settings, rounds=1, epochs=1, examples=4 * settings.batch_size)
    measured = _measure(network, settings)
    ratios = {program: median_ratio(measured, JAXNN.name, program.name) for program in PROGRAMS}
    rows = [_row(program.name, measured.get(program.name), ratios[program]) for program in PROGRAMS]
    targets = [Target(f"times {program.name}", bound, ratios[program]) for program, bound in bounds.items()]
    return Report(HEADER, rows, targets)


def save_mnist(path: str, *, examples: int) -> dict:
    """Writes MNIST as the .npz that the peers read; returns what a workload must say about it."""
    mnist = load("mnist")
    splits = {"train": mnist.train, "test": mnist.test}
    arrays = {f"{split}_{field}": array[:examples] for split, data in splits.items() for field, array in data.items()}
    np.savez(path, **arrays)
    return {"data": path, "mean": mnist.mean[0], "std": mnist.std[0], "threads": cores()}


def _measure(network: str, settings: Settings) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        workload = {"network": network, "epochs": settings.epochs, "batch_size": settings.batch_size}
        workload |= save_mnist(os.path.join(folder, "mnist.npz"), examples=settings.examples)
        workload |= {"learning_rate": settings.learning_rate}

        def contestant(program):
            return lambda _: run_program(program, workload, peers_python=settings.peers_python)[0]["images_per_second"]

        present = [program for program in PROGRAMS if installed(program, settings.peers_python)]
        return in_turn({program.name: contestant(program) for program in present}, rounds=settings.rounds)


def _row(name: str, rates: list[float] | None, ratio: float | None) -> tuple[str, ...]:
    if rates is None:
        return name, NOT_INSTALLED, "-", "-"
    faster = "-" if name == JAXNN.name else f"{ratio:.2f} x"
    return name, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}", faster
