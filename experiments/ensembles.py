"""What do several networks together gain over one, and does bagging gain more?

    python experiments/ensembles.py

CS231n's last advice: train several models from different initializations and average their predictions, worth "about
2 %". Sixteen MLPs with 128 hidden units learn 10 000 images twice, each time as one population: all on the same images
from different seeds, and each on a bootstrap of the images (Breiman 1996, Bagging predictors, whose members see 63 % of
them). Test errors of random subsets of 1 to 16 members, by averaged probabilities and by votes; a seed of the record is
such a population, with initial weights, orders and bootstraps of its own.

Expected: every further member helps less; from 1 to 16 the error falls by about a fifth of itself on MNIST, where that
is one point, and by several points on CIFAR-10 (`--data cifar10`): the lecture's 2 %. Averages are no worse than votes,
and clearly better for few members. A bagged member is worse than one that saw every image, and so is the ensemble:
bagging pays for unstable learners and little data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from benchmarks.measuring import markdown
from recording import Experiment, Finding, Outcome

from jaxnn import data, populations
from jaxnn.models import MLP
from jaxnn.optimizers import adam
from jaxnn.plots.study_plots import plot_ensemble_errors
from jaxnn.preprocessing import Standardize

HEADER = ("members", "same images: averaged, %", "votes, %", "bootstraps: averaged, %", "votes, %")
CS231N = "CS231n, Neural Networks 3: model ensembles"


@dataclass(frozen=True)
class Settings:
    """Options of the experiment."""

    data: str = "mnist"  # or fashion_mnist, cifar10
    members: int = 16
    train_examples: int = 10_000
    epochs: int = 8
    hidden: int = 128
    seeds: int = 1  # populations


def measure(settings: Settings) -> Outcome:
    dataset = data.subset(data.load(settings.data), train=settings.train_examples)
    by_seed = [
        {name: errors(dataset, members, settings) for name, members in populations_of(settings, seed).items()}
        for seed in range(settings.seeds)
    ]
    pictures = {name.replace(" ", "_"): plot_ensemble_errors(*of) for name, of in by_seed[0].items()}
    return Outcome(findings(by_seed, settings), pictures, [markdown(HEADER, rows(by_seed[0], settings.members))])


def populations_of(settings: Settings, seed: int) -> dict[str, list[populations.Member]]:
    """The same rate for all; seeds and bootstraps."""
    setting, n = {"learning_rate": 1e-3}, settings.members
    keys = range(seed * n, seed * n + n)
    bagged = populations.bootstraps(settings.train_examples, n, seed=seed)
    return {
        "same images": populations.members_of([setting], seeds=keys),
        "bootstraps": [populations.Member(key, setting, split) for key, split in zip(keys, bagged, strict=True)],
    }


def errors(dataset: data.Dataset, members, settings: Settings) -> populations.EnsembleErrors:
    """Errors on the test images; what a bootstrap left out is measured on the way, and not used here."""
    preprocess = Standardize(dataset.mean, dataset.std)
    train = partial(populations.fit, MLP(features=(settings.hidden,)), dataset.train, preprocess=preprocess)
    trained = train(members, optimizer=adam, epochs=settings.epochs, batch_size=64)
    logits = populations.predict_members(trained, dataset.test["image"], preprocess=preprocess)
    return populations.ensemble_errors(logits, dataset.test["label"])


def findings(by_seed: list[Mapping], settings: Settings) -> list[Finding]:
    n = settings.members
    alone, together, votes = (
        np.array([100 * of(seed["same images"]) for seed in by_seed])
        for of in (lambda e: e.single.mean(), lambda e: e.averaged[-1].mean(), lambda e: e.voted[-1].mean())
    )
    bagged = np.array([100 * seed["bootstraps"].averaged[-1].mean() for seed in by_seed])
    gained = 100 * (1 - together / alone)
    usual = all((gained > 10) & (gained < 30))
    return [
        Finding("test error of one network, %", alone, "the baseline", CS231N, True),
        Finding(f"of {n}, probabilities averaged, %", together, "below one network's", CS231N, all(together < alone)),
        Finding("error that averaging removes, % of it", gained, "10 to 30", CS231N, usual),
        Finding(f"of {n}, by votes, %", votes, "no better than averaged, to 0.1", CS231N, all(votes > together - 0.1)),
        Finding(f"of {n} bagged, averaged, %", bagged, "worse than not bagged", "Breiman 1996, sec. 4.2",
                all(bagged > together)),
    ]  # fmt: skip


def rows(errors: Mapping, most: int):
    """At 1, 2, 4, ... members: means over the subsets."""
    columns = [part for of in errors.values() for part in (of.averaged, of.voted)]
    for count in sorted({*(2 ** np.arange(int(np.log2(most)) + 1)).tolist(), most}):
        yield (str(count), *(f"{100 * part[count - 1].mean():.2f}" for part in columns))


SMOKE = {"members": 3, "train_examples": 1000, "epochs": 1, "hidden": 16, "seeds": 2}
EXPERIMENT = Experiment(__file__, __doc__, Settings, measure, smoke=SMOKE, full={"seeds": 5})

if __name__ == "__main__":
    EXPERIMENT.main()
