"""What does a training cost as a member of a population, against one after the other?

    python experiments/benchmarks/population_throughput.py --peers-python PATH --record

Real MNIST, Adam, batch 32, every program in a process of its own, in turn. 784-32-10: the rate of sixteen members of
other seeds against sixteen PyTorch trainings in turn (both after a first epoch), and the whole time, imports and
compilation included, of a process that trains 16 or 64 members against as many processes that train one. (The time of
many processes is that of one, measured in each round, times their number.) LeNet-5: the rate of eight members against
one. 5 folds x 20 settings on 10 000 images. Expected on two cores: 8 times PyTorch, at most 1/4 and 1/6 of the
processes' time, at most 8.8 times one LeNet-5, and less than two minutes. On a GPU a thousand members, too.
"""

import os
import statistics
import tempfile
from dataclasses import dataclass, replace

import throughput
import tyro
from measuring import Program, Report, Target, accelerators, in_turn, installed, publish, run_program

POPULATION = Program("population", "jaxnn_population.py")
ALONE = Program("alone", "jaxnn_fit.py")
HEADER = ("what", "program", "median", "range over rounds")


@dataclass(frozen=True)
class Settings(throughput.Settings):
    """784-32-10 at batch 32."""

    batch_size: int = 32
    rounds: int = 3


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = replace(settings, rounds=1, epochs=1, examples=320)
    with tempfile.TemporaryDirectory() as folder:
        measured = in_turn(contestants(folder, settings), rounds=settings.rounds)
    report = summarize(measured)
    publish(report, script=__file__, doc=__doc__, record=settings.record, peers_python=settings.peers_python)


def contestants(folder: str, settings: Settings) -> dict:
    """Name -> function of the round that returns (images/s, seconds in all)."""
    shared = {"batch_size": settings.batch_size, "epochs": settings.epochs, "learning_rate": settings.learning_rate}
    whole = shared | throughput.save_mnist(os.path.join(folder, "mnist.npz"), examples=settings.examples)
    part = shared | throughput.save_mnist(os.path.join(folder, "part.npz"), examples=min(10_000, settings.examples))
    mlp, lenet = whole | {"network": "mlp32"}, part | {"network": "lenet5", "what": "seeds"}
    workloads = {
        "16 seeds": (POPULATION, mlp | {"what": "seeds", "members": 16}),
        "64 settings": (POPULATION, mlp | {"what": "grid", "rates": 8, "decays": 8}),
        "one": (ALONE, mlp),
        "PyTorch, 16 in turn": (throughput.PYTORCH, mlp | {"members": 16, "epochs": 1}),
        "8 LeNet-5": (POPULATION, lenet | {"members": 8}),
        "1 LeNet-5": (POPULATION, lenet | {"members": 1}),
        "5 folds x 20 settings": (POPULATION, part | {"network": "mlp32", "what": "folds", "rates": 5, "decays": 4}),
    }

    def contestant(program, workload):
        def measure(_):
            result, finished = run_program(program, workload, peers_python=settings.peers_python)
            return result["images_per_second"], finished.seconds

        return measure

    if accelerators():
        workloads["1000 seeds"] = (POPULATION, mlp | {"what": "seeds", "members": 1000})
    present = {name: pair for name, pair in workloads.items() if installed(pair[0], settings.peers_python)}
    return {name: contestant(*pair) for name, pair in present.items()}


def summarize(measured) -> Report:
    """Rates and times, and how their ratios stand to the bounds."""
    rates = {name: [rate for rate, _ in values] for name, values in measured.items()}
    seconds = {name: [wall for _, wall in values] for name, values in measured.items()}
    rows = [("images/s", name, *_spread(values, "{:,.0f}")) for name, values in rates.items()]
    rows += [("seconds in all", name, *_spread(values, "{:.1f}")) for name, values in seconds.items()]
    return Report(HEADER, rows, _targets(rates, seconds))


def _targets(rates, seconds) -> list[Target]:
    pytorch = rates.get("PyTorch, 16 in turn")
    faster = None if pytorch is None else _ratio(rates["16 seeds"], pytorch)
    sixteen = 16 * _ratio(seconds["one"], seconds["16 seeds"])
    sweep = _ratio(seconds["64 settings"], seconds["one"]) / 64
    lenets = 8 * _ratio(rates["1 LeNet-5"], rates["8 LeNet-5"])
    folds = statistics.median(seconds["5 folds x 20 settings"])
    return [
        Target("16 members, images/s, times PyTorch's in turn", 8, faster),
        Target("16 processes of one, seconds, times the population's", 4, sixteen),
        Target("64 settings, seconds, times 64 processes of one", 1 / 6, sweep, at_least=False),
        Target("cost of 8 LeNet-5, times one", 8.8, lenets, at_least=False),
        Target("5 folds x 20 settings, seconds", 120, folds, at_least=False),
    ]


def _ratio(a, b) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def _spread(values, form: str) -> tuple[str, str]:
    show = form.format
    return show(statistics.median(values)), f"{show(min(values))} to {show(max(values))}"


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
