"""`meant_flag` finds the flag that a user meant by a name that other tools have for it. Imports no jax."""

import re
from collections.abc import Collection

from jaxnn.naming import nearest_name

SYNONYMS = {  # a flag -> other names of it, as PyTorch, Keras, scikit-learn, Optax and their examples have them
    "--learning-rate": "lr alpha eta step-size stepsize learning-rate-init base-lr initial-lr max-lr",
    "--batch-size": "b bs batch batchsize minibatch mini-batch-size train-batch-size per-device-batch-size",
    "--epochs": "e ep epoch n-epochs num-epochs max-epochs nb-epoch nepochs max-iter iterations",
    "--steps": "n-steps num-steps max-steps iterations iters",
    "--weight-decay": "wd decay l2 l2-penalty",
    "--optimizer": "opt optim algo solver",
    "--schedule": "sched scheduler lr-schedule lr-scheduler lr-scheduler-type learning-rate-schedule",
    "--decay-rate": "gamma lr-decay",
    "--warmup": "warmup-ratio warmup-steps warmup-epochs",
    "--b1": "beta1 beta-1 adam-beta1 betas",
    "--b2": "beta2 beta-2 adam-beta2",
    "--eps": "epsilon adam-epsilon",
    "--label-smoothing": "smoothing",
    "--hidden": "layers units hidden-size hidden-sizes hidden-units hidden-dim hidden-layers hidden-layer-sizes width",
    "--dropout-rate": "dropout drop drop-rate dropout-prob p",
    "--seed": "s seeds random-seed random-state manual-seed rng rng-seed prng",
    "--validation": "val val-split validation-split validation-fraction val-size holdout",
    "--patience": "early-stopping early-stop early-stopping-patience n-iter-no-change",
    "--data": "d dataset data-set task",
    "--data-folder": "data-dir datadir data-path data-root root dataset-dir",
    "--train-examples": "max-train-samples num-train subset limit-train-batches",
    "--test-examples": "max-eval-samples num-test limit-test-batches",
    "--out": "o output output-dir outdir out-dir save-dir save-path logdir log-dir run-dir work-dir",
    "--devices": "gpu gpus n-gpus ngpus num-gpus device n-devices num-devices cores accelerators",
    "--placement": "parallel distributed ddp fsdp mesh",
    "--workers": "j num-workers n-jobs",
    "--processes": "np nproc num-processes nproc-per-node world-size",
    "--keep": "max-to-keep save-total-limit",
    "--trials": "n-trials num-trials n-iter num-samples",
    "--members": "n-members ensemble-size n-estimators num-models",
    "--folds": "k n-folds n-splits cv",
    "--step": "checkpoint ckpt epoch",
    "--top": "topk top-k k",
}
REMEDIES = (  # names of what is no flag here -> what to say instead
    ("model arch architecture net network m", "The model stands without a flag: jaxnn {command} lenet5."),
    ("resume resume-from restore continue checkpoint ckpt", "A run goes on with: jaxnn resume RUN."),
    ("cpu cuda tpu use-cuda no-cuda use-gpu platform backend", "The environment says it: JAX_PLATFORMS=cpu jaxnn ..."),
)


def meant_flag(name: str, flags: Collection[str]) -> str | None:
    """Returns the flag that an unknown name means: another tool's name for it, else the most similar one, else None.

    Args:
      name: the name as written, with its dashes.
      flags: the flags of the command.

    >>> meant_flag("--lr", ["--learning-rate", "--epochs"]), meant_flag("-epohcs", ["--learning-rate", "--epochs"])
    ('--learning-rate', '--epochs')
    """
    word = _bare(name)
    known = [flag for flag, names in SYNONYMS.items() if flag in flags and word in names.split()]
    if known or _remedies(word):
        return known[0] if known else None
    return nearest_name(f"--{word}", flags)


def remedy_of(name: str, command: str) -> str:
    """Returns the end of the message about a name that means no flag, with what to say instead if that is known."""
    return "".join([".", *(f" {remedy.format(command=command)}" for remedy in _remedies(_bare(name))[:1])])


def _remedies(word) -> list[str]:
    return [remedy for names, remedy in REMEDIES if word in names.split()]


def _bare(name) -> str:
    """Returns the name in small letters without its leading dashes, and with dashes between its words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "-", name.lstrip("-")).replace("_", "-").lower()
