"""What do several networks together gain over one, and does bagging gain more?

    python experiments/ensembles.py --out runs

CS231n's last advice: train several models from different initializations and average their predictions, worth "about
2 %". Sixteen MLPs with 128 hidden units learn 10 000 images twice, each time as one population: all on the same images
from different seeds, and each on a bootstrap of the images (Breiman 1996, Bagging predictors, whose members see 63 % of
them). Test errors of random subsets of 1 to 16 members, by averaged probabilities and by votes.

Expected: every further member helps less; from 1 to 16 the error falls by about a fifth of itself on MNIST, where that
is one point, and by several points on CIFAR-10 (`--data cifar10`): the lecture's 2 %. Averages are no worse than votes,
and clearly better for few members. A bagged member is worse than one that saw every image, and so is the ensemble:
bagging pays for unstable learners and little data.
Hardware: any; about a minute on two cores.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from benchmarks.measuring import hardware, markdown

from jaxnn import data, populations
from jaxnn.diagnostics import save_figure
from jaxnn.diagnostics.study_plots import plot_ensemble_errors
from jaxnn.models import MLP
from jaxnn.optimizers import adam
from jaxnn.preprocessing import Standardize

HEADER = ("members", "same images: averaged, %", "votes, %", "bootstraps: averaged, %", "votes, %")


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    data: str = "mnist"  # or fashion_mnist, cifar10
    members: int = 16
    train_examples: int = 10_000
    epochs: int = 8
    hidden: int = 128
    out: Path = Path("runs")  # folder of the pictures
    smoke: bool = False  # seconds, figures without meaning


def main(settings: Settings) -> None:
    if settings.smoke:
        settings = dataclasses.replace(settings, members=3, train_examples=1000, epochs=1, hidden=16)
    dataset = data.subset(data.load(settings.data), train=settings.train_examples)
    errors = {name: measure(dataset, members, settings) for name, members in populations_of(settings).items()}
    print(markdown(HEADER, rows(errors, settings.members)))
    for name, of in errors.items():
        alone, together = 100 * of.single.mean(), 100 * of.averaged[-1].mean()
        print(f"{name}: {alone:.2f} ± {100 * of.single.std(ddof=1):.2f} % alone, {together:.2f} % together: ", end="")
        print(f"{alone - together:.2f} points, {100 * (1 - together / alone):.0f} % of the error")
    print(f"hardware: {hardware()}")
    settings.out.mkdir(parents=True, exist_ok=True)
    for name, of in errors.items():
        path = settings.out / f"ensemble_{settings.data}_{name.replace(' ', '_')}.png"
        print(f"picture: {save_figure(plot_ensemble_errors(*of), path)}")


def populations_of(settings: Settings) -> dict[str, list[populations.Member]]:
    """The same rate for all; seeds and bootstraps."""
    setting, n = {"learning_rate": 1e-3}, settings.members
    bagged = populations.bootstraps(settings.train_examples, n)
    return {
        "same images": populations.members_of([setting], seeds=range(n)),
        "bootstraps": [populations.Member(seed, setting, split) for seed, split in enumerate(bagged)],
    }


def measure(dataset: data.Dataset, members, settings: Settings) -> populations.EnsembleErrors:
    """Errors on the test images; what a bootstrap left out is measured on the way, and not used here."""
    preprocess = Standardize(dataset.mean, dataset.std)
    train = partial(populations.fit, MLP(features=(settings.hidden,)), dataset.train, preprocess=preprocess)
    trained = train(members, optimizer=adam, epochs=settings.epochs, batch_size=64)
    logits = populations.predict_members(trained, dataset.test["image"], preprocess=preprocess)
    return populations.ensemble_errors(logits, dataset.test["label"])


def rows(errors, most: int):
    """At 1, 2, 4, ... members: means over the subsets."""
    columns = [part for of in errors.values() for part in (of.averaged, of.voted)]
    for count in sorted({*(2 ** np.arange(int(np.log2(most)) + 1)).tolist(), most}):
        yield (str(count), *(f"{100 * part[count - 1].mean():.2f}" for part in columns))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
