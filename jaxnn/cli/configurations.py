"""What a training is, as data: every hyperparameter with its default, and a recipe for each model. Imports no jax."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxnn.naming import unknown

OPTIMIZERS = {
    "adadelta": "steps in the units of the parameters (Zeiler 2012): --eps, --weight-decay",
    "adagrad": "each step divided by the root of all squared gradients (Duchi et al. 2011): --eps",
    "adam": "adaptive moments (Kingma and Ba 2014): --b1, --b2, --eps",
    "adamax": "Adam by the largest gradient (Kingma and Ba 2014): --b1, --b2, --eps",
    "adamw": "Adam with decoupled decay (Loshchilov and Hutter 2017): --b1, --b2, --eps, --weight-decay",
    "amsgrad": "Adam that never forgets a large gradient (Reddi et al. 2018): --b1, --b2, --eps",
    "lamb": "Adam scaled layer by layer, for large batches (You et al. 2019): --b1, --b2, --eps, --weight-decay",
    "lars": "momentum scaled layer by layer, for large batches (You et al. 2017): --momentum, --weight-decay",
    "lion": "the sign of a momentum (Chen et al. 2023): --b1, --b2, --weight-decay",
    "muon": "orthogonalized momentum for matrices (Jordan et al. 2024): --eps, --weight-decay, --nesterov",
    "nadam": "Adam that looks ahead (Dozat 2016): --b1, --b2, --eps",
    "nadamw": "NAdam with decoupled decay: --b1, --b2, --eps, --weight-decay",
    "radam": "Adam whose first steps are rectified (Liu et al. 2019): --b1, --b2, --eps",
    "rmsprop": "each step divided by the root of recent squared gradients (Hinton 2012): --eps, --momentum",
    "sgd": "gradient descent with momentum, 0.9 unless given: --momentum, --nesterov",
    "sign_sgd": "the sign of the gradient (Bernstein et al. 2018)",
}
SCHEDULES = {
    "constant": "the learning rate as given",
    "linear": "from the learning rate to 0",
    "polynomial": "the square of linear",
    "cosine": "half a cosine from the learning rate to 0",
    "one_cycle": "up to the learning rate during --warmup of all steps (0.2 unless given), then down again",
    "step_decay": "times --decay-rate after each third of all steps",
    "exponential": "times --decay-rate over all steps, evenly",
    "inverse_time": "learning rate / (1 + t / steps of an epoch)",
    "warm_restarts": "a cosine to 0 that begins anew after each epoch",
}

STRATEGIES = ("synchronous", "downpour")
PLACEMENTS = {
    "single": "one device, the whole batch",
    "pmap": "each device a part of the batch, as the course has it; one process",
    "shard_map": "the same over a mesh of devices, in any number of processes",
    "automatic": "the program of one device, which XLA divides",
    "fully_sharded": "automatic, and each device keeps only a part of parameters and moments (ZeRO, FSDP)",
    "local_rows": "shard_map, and each device keeps only its own rows of the training data",
}


@dataclass(frozen=True)
class Training:
    """Train a model and keep everything about it in a run folder."""

    model: Annotated[str, tyro.conf.Positional] = "lenet5"
    """What to train; `jaxnn list` names the models."""
    data: str = "mnist"
    """Data set; `jaxnn list` names them."""
    data_folder: str | None = None
    """Where the data set's files lie; by default its package or ~/.cache/jaxnn."""
    out: str | None = None
    """Run folder, a new one; by default runs/MODEL-001, -002, ..."""
    epochs: int = 2
    """Passes over the training data."""
    batch_size: int = 64
    """Examples in a step."""
    optimizer: str = "adam"
    """Which optimizer; `jaxnn list` names them and the flags that each takes."""
    learning_rate: float = 6e-3
    """Step size; the largest that the schedule reaches."""
    schedule: str = "one_cycle"
    """Of the learning rate; `jaxnn list` names them."""
    warmup: float | None = None
    """Fraction of all steps in which the learning rate rises; by default 0, and 0.2 for one_cycle."""
    decay_rate: float = 0.1
    """What step_decay and exponential multiply the learning rate by."""
    momentum: float | None = None
    """Weight of the past in the velocity; 0 for none."""
    nesterov: bool = False
    """Whether to look ahead along the velocity."""
    b1: float | None = None
    """Decay of the first moment."""
    b2: float | None = None
    """Decay of the second moment; short trainings want less than the usual 0.999."""
    eps: float | None = None
    """What keeps a division by a root finite."""
    weight_decay: float | None = None
    """How hard the weights are pulled towards 0."""
    label_smoothing: float = 0.0
    """Probability spread evenly over all classes in the targets; lenet1998's criterion has none."""
    hidden: tuple[int, ...] = (128,)
    """Widths of mlp's hidden layers."""
    dropout_rate: float | None = None
    """Probability of dropping each of mlp's hidden activations in training."""
    seed: int = 0
    """Determines the initial parameters, the order of the examples and dropout."""
    train_examples: int | None = None
    """Use only the first so many training examples."""
    test_examples: int | None = None
    """Use only the first so many test examples."""
    placement: str | None = None
    """How the work is divided among devices; `jaxnn list` names the ways; by default single, and shard_map on several
    devices or processes."""
    devices: int | None = None
    """On how many devices; by default one, and with a --placement all; the CPU is divided into so many."""
    strategy: str = "synchronous"
    """How updates are made: synchronous, or downpour, by servers, and workers that do not wait for one another, each
    a process; needs Ray, jaxnn[ray]."""
    workers: int = 2
    """Of downpour: processes that compute gradients, each on a part of the data of its own."""
    servers: int = 1
    """Of downpour: processes that apply them, each to a part of the parameters."""
    staleness: int | None = None
    """Of downpour: how many updates a worker may be ahead of the slowest before it waits; by default it never waits."""
    address: str | None = None
    """Of downpour: of the Ray cluster to join, HOST:PORT; by default one is started here, for this machine alone."""
    keep: int = 3
    """Checkpoints to keep, beside the best."""
    tensorboard: bool = True
    """Whether to write TensorBoard events."""
    pictures: bool = True
    """Whether to draw the pictures and the report at the end."""


_MLP = Training("mlp", epochs=10, batch_size=64, learning_rate=2e-3, b2=0.99)
RECIPES = {
    "lenet5": Training("lenet5", b2=0.99),
    "lenet1998": Training("lenet1998", epochs=5, batch_size=128, learning_rate=2e-3, b2=0.99),
    "mlp": _MLP,
    "softmax_regression": dataclasses.replace(_MLP, model="softmax_regression", epochs=5),
}


def recipe(model: str) -> Training:
    """The defaults of a model; an unknown one raises ValueError with the nearest names."""
    if model not in RECIPES:
        raise unknown("model", model, RECIPES)
    return RECIPES[model]


def check(config: Training) -> Training:
    """The configuration itself, if every value is one that a training can have; else ValueError says which is not."""
    recipe(config.model)
    for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("strategy", STRATEGIES)):
        if getattr(config, name) not in known:
            raise unknown(name, getattr(config, name), known)
    if config.placement is not None and config.placement not in PLACEMENTS:
        raise unknown("placement", config.placement, PLACEMENTS)
    for name in ("epochs", "batch_size", "keep", "train_examples", "test_examples", "devices", "workers", "servers"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise _out_of_range(name, "an integer of at least 1", value)
    for name, low, high in (
        ("warmup", 0, 1),
        ("momentum", 0, 1),
        ("b1", 0, 1),
        ("b2", 0, 1),
        ("label_smoothing", 0, 1),
        ("dropout_rate", 0, 1),
    ):
        value = getattr(config, name)
        if value is not None and not low <= value < high:
            raise _out_of_range(name, f"at least {low} and less than {high}", value)
    for name in ("learning_rate", "eps", "decay_rate"):
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise _out_of_range(name, "a positive, finite number", value)
    if config.weight_decay is not None and not 0 <= config.weight_decay < math.inf:
        raise _out_of_range("weight_decay", "a finite number of at least 0", config.weight_decay)
    if not 0 <= config.seed < 2**32:
        raise _out_of_range("seed", "an integer of 0 to 4294967295", config.seed)
    if min(config.hidden, default=1) < 1:
        raise _out_of_range("hidden", "widths of at least 1", config.hidden)
    if config.dropout_rate is not None and config.model != "mlp":
        raise ValueError(
            f"--dropout-rate is mlp's; received {config.dropout_rate} for {config.model}. Leave it out, or train mlp."
        )
    if config.placement == "single" and config.devices not in (None, 1):
        raise ValueError(f"--placement single is one device; received --devices {config.devices}. Leave one out.")
    if config.staleness is not None and config.staleness < 0:
        raise _out_of_range("staleness", "an integer of at least 0", config.staleness)
    if config.strategy == "downpour" and (config.placement, config.devices) != (None, None):
        raise ValueError("--strategy downpour has --workers and --servers; received --placement or --devices as well.")
    if config.nesterov and config.momentum == 0:
        raise ValueError("--nesterov looks ahead along the velocity; received --momentum 0. Give a momentum, say 0.9.")
    return config


def load_data(config: Training):
    """The `jaxnn.data.Dataset`, cut to the examples asked for.

    Raises:
      ValueError: unknown or damaged data, data without images, subsets larger than the data.
      FileNotFoundError: the data's files are missing.
    """
    from jaxnn import data

    dataset = data.load(config.data, folder=config.data_folder)
    if "image" not in dataset.train:
        fields = ", ".join(dataset.train)
        raise ValueError(
            f"--data must name images; received {config.data}, of {fields}. Train on it from Python: `fit`."
        )
    return data.subset(dataset, train=config.train_examples, test=config.test_examples)


def to_record(config: Training) -> dict:
    """The configuration as JSON can hold it."""
    return dataclasses.asdict(config) | {"hidden": list(config.hidden)}


def from_record(record: dict, *, where: str) -> Training:
    """The inverse of `to_record`; ValueError names what an edit broke in `where`."""
    expected = {field.name: getattr(Training(), field.name) for field in dataclasses.fields(Training)}
    record = _ADDED_LATER | record
    if record.keys() != expected.keys():
        missing, foreign = sorted(expected.keys() - record.keys()), sorted(record.keys() - expected.keys())
        raise ValueError(
            f"{where}: the configuration lacks {missing} and has {foreign} beyond what is known. {_EDITED}"
        )
    values = record | {"hidden": tuple(record["hidden"]) if isinstance(record["hidden"], list) else None}
    for name, default in expected.items():
        optional = default is None and values[name] is None
        kinds = {"train_examples": int, "test_examples": int, "devices": int, "staleness": int, **_TEXTS, **_NUMBERS}
        kind = kinds.get(name, type(default))
        if not optional and type(values[name]) is not kind:
            raise ValueError(f"{where}: {name} must be of type {kind.__name__}; received {record[name]!r}. {_EDITED}")
    try:
        return check(Training(**values))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error} {_EDITED}") from None


_TEXTS = dict.fromkeys(("out", "data_folder", "placement", "address"), str)
_NUMBERS = dict.fromkeys(("warmup", "momentum", "b1", "b2", "eps", "weight_decay", "dropout_rate"), float)
_ADDED_LATER = {  # what older files lack, and meant
    **dict.fromkeys(("dropout_rate", "placement", "devices", "staleness", "address")),
    **{"strategy": "synchronous", "workers": 2, "servers": 1},
}
_EDITED = "Was the file edited? Restore it from a copy, or start a new run."


def _out_of_range(name, expected, value):
    return ValueError(f"--{name.replace('_', '-')} must be {expected}; received {value}.")
