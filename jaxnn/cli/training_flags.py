"""What a training is, as data: every hyperparameter with its default, and a recipe for each model. Imports no jax."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import tyro

from jaxnn.cli.field_records import read_record, record_of
from jaxnn.cli.field_rules import (
    MOST_POSITIVE,
    POSITIVE,
    Between,
    Each,
    Matching,
    NameOrCode,
    Needs,
    OneOf,
    check_effects,
    validate,
)
from jaxnn.cli.help_groups import InGroup
from jaxnn.cli.work_limits import check_processes, check_widths

OPTIMIZERS = {
    "adadelta": "steps in the units of the parameters (Zeiler 2012): --eps, --weight-decay",
    "adagrad": "each step divided by the root of all squared gradients (Duchi et al. 2011): --eps",
    "adam": "adaptive moments (Kingma and Ba 2014): --b1, --b2, --eps, --nesterov",
    "adamax": "Adam by the largest gradient (Kingma and Ba 2014): --b1, --b2, --eps",
    "adamw": "Adam with decoupled decay (Loshchilov and Hutter 2017): --b1, --b2, --eps, --nesterov, --weight-decay",
    "amsgrad": "Adam that never forgets a large gradient (Reddi et al. 2018): --b1, --b2, --eps",
    "lamb": "Adam scaled layer by layer, for large batches (You et al. 2019): --b1, --b2, --eps, --weight-decay",
    "lars": "momentum scaled layer by layer (You et al. 2017): --momentum, --eps, --weight-decay, --nesterov",
    "lion": "the sign of a momentum (Chen et al. 2023): --b1, --b2, --weight-decay",
    "muon": "orthogonalized momentum for matrices (Jordan et al. 2024): --eps, --weight-decay, --nesterov",
    "nadam": "Adam that looks ahead (Dozat 2016): --b1, --b2, --eps",
    "nadamw": "NAdam with decoupled decay: --b1, --b2, --eps, --weight-decay",
    "radam": "Adam whose first steps are rectified (Liu et al. 2019): --b1, --b2, --eps, --nesterov",
    "rmsprop": "each step divided by the root of recent squared gradients (Hinton 2012): --eps, --momentum, --nesterov",
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
MODELS = ("lenet5", "lenet1998", "mlp", "softmax_regression")
PLACEMENTS = {
    "single": "one device, the whole batch",
    "pmap": "each device a part of the batch, as the course has it; one process",
    "shard_map": "the same over a mesh of devices, in any number of processes",
    "automatic": "the program of one device, which XLA divides",
    "fully_sharded": "automatic, and each device keeps only a part of parameters and moments (ZeRO, FSDP)",
    "local_rows": "shard_map, and each device keeps only its own rows of the training data",
}


def optimizers_with(flag: str) -> tuple[str, ...]:
    """The optimizers that take a flag, as their lines above say.

    >>> optimizers_with("--momentum")
    ('lars', 'rmsprop', 'sgd')
    """
    return tuple(name for name, text in OPTIMIZERS.items() if flag in re.findall(r"--[a-z0-9-]+", text))


Count = Annotated[int, Between(1, 2**31 - 1)]
Seed = Annotated[int, Between(0, 2**32 - 1)]
Positive = Annotated[float, POSITIVE]
Fraction = Annotated[float, Between(0, 1, "[)")]
Placement = Annotated[str, OneOf("placement", PLACEMENTS)]
Devices = Annotated[int, Between(1, 1024)]
Widths = Annotated[tuple[int, ...], Each(Between(1, 2**24), most=64)]
Strategy = Annotated[str, OneOf("strategy", STRATEGIES)]
Processes = Annotated[int, Between(1, 1024)]
Staleness = Annotated[int, Between(0, 2**31 - 1)]
Held = Annotated[str, Matching(r"none|0?\.\d{1,6}|[1-9]\d{0,8}", "none, a share such as 0.05, or a number of examples")]
OF_OPTIMIZER, OF_SCHEDULE, OF_DATA = InGroup("optimizer"), InGroup("schedule"), InGroup("data")
OF_DEVICES, OF_SERVERS, OF_FOLDER = InGroup("devices"), InGroup("downpour"), InGroup("run folder")
OfDownpour = Needs("strategy", ("downpour",))
OfMlp = Needs("model", ("mlp",))


@dataclass(frozen=True)
class Training:
    """Train a model and keep everything about it in a run folder."""

    model: Annotated[str, NameOrCode("model", MODELS), tyro.conf.Positional] = "lenet5"
    """What to train; `jaxnn list` names the models. FILE.py:NAME or package.module:NAME: a recipe or model of yours."""
    data: Annotated[str, OF_DATA] = "mnist"
    """Data set; `jaxnn list` names them."""
    data_folder: Annotated[str | None, OF_DATA] = None
    """Where the data set's files lie; by default its package or ~/.cache/jaxnn."""
    out: Annotated[str | None, OF_FOLDER] = None
    """Run folder, a new one; by default runs/MODEL-001, -002, ..."""
    epochs: Count = 2
    """Passes over the training data."""
    batch_size: Count = 64
    """Examples in a step."""
    optimizer: Annotated[str, OneOf("optimizer", OPTIMIZERS), OF_OPTIMIZER] = "adam"
    """Which optimizer; `jaxnn list` names them and the flags that each takes."""
    learning_rate: Annotated[Positive, OF_OPTIMIZER] = 6e-3
    """Step size; the largest that the schedule reaches."""
    schedule: Annotated[str, OneOf("schedule", SCHEDULES), OF_SCHEDULE] = "one_cycle"
    """Of the learning rate; `jaxnn list` names them."""
    warmup: Annotated[Fraction | None, OF_SCHEDULE] = None
    """Fraction of all steps in which the learning rate rises; by default 0, and 0.2 for one_cycle."""
    decay_rate: Annotated[Positive, Needs("schedule", ("step_decay", "exponential")), OF_SCHEDULE] = 0.1
    """What step_decay and exponential multiply the learning rate by."""
    momentum: Annotated[Fraction | None, Needs("optimizer", optimizers_with("--momentum")), OF_OPTIMIZER] = None
    """Weight of the past in the velocity; 0 for none."""
    nesterov: Annotated[bool, Needs("optimizer", optimizers_with("--nesterov")), OF_OPTIMIZER] = False
    """Whether to look ahead along the velocity."""
    b1: Annotated[Fraction | None, Needs("optimizer", optimizers_with("--b1")), OF_OPTIMIZER] = None
    """Decay of the first moment."""
    b2: Annotated[Fraction | None, Needs("optimizer", optimizers_with("--b2")), OF_OPTIMIZER] = None
    """Decay of the second moment; short trainings want less than the usual 0.999."""
    eps: Annotated[Positive | None, Needs("optimizer", optimizers_with("--eps")), OF_OPTIMIZER] = None
    """What keeps a division by a root finite."""
    weight_decay: Annotated[
        float | None, Between(0, MOST_POSITIVE), Needs("optimizer", optimizers_with("--weight-decay")), OF_OPTIMIZER
    ] = None
    """How hard the weights are pulled towards 0."""
    label_smoothing: Annotated[Fraction, Needs("model", tuple(name for name in MODELS if name != "lenet1998"))] = 0.0
    """Probability spread evenly over all classes in the targets; lenet1998's criterion has none."""
    hidden: Annotated[Widths, OfMlp] = (128,)
    """Widths of mlp's hidden layers."""
    dropout_rate: Annotated[Fraction | None, OfMlp] = None
    """Probability of dropping each of mlp's hidden activations in training."""
    validation: Annotated[Held, OF_DATA] = "0.05"
    """How much of the training data is held out: it chooses the best checkpoint, and when to stop early. A share, a
    number of examples, or none; the test data are measured once, at the end."""
    patience: Count | None = None
    """Stop after so many epochs in a row that were not better on the data held out; by default never."""
    seed: Seed = 0
    """Determines the initial parameters, the order of the examples and dropout."""
    train_examples: Annotated[Count | None, OF_DATA] = None
    """Use only the first so many training examples."""
    test_examples: Annotated[Count | None, OF_DATA] = None
    """Use only the first so many test examples."""
    placement: Annotated[Placement | None, OF_DEVICES] = None
    """How the work is divided among devices; `jaxnn list` names the ways; by default single, and shard_map on several
    devices or processes."""
    devices: Annotated[Devices | None, OF_DEVICES] = None
    """On how many devices; by default one, and with a --placement all; the CPU is divided into so many."""
    strategy: Annotated[Strategy, OF_SERVERS] = "synchronous"
    """How updates are made: synchronous, or downpour, by servers, and workers that do not wait for one another, each
    a process; needs Ray, jaxnn[ray]. Whoever reaches a port or socket of Ray's executes code as you: those that are
    started here ask for a token and are on this machine alone."""
    workers: Annotated[Processes, OfDownpour, OF_SERVERS] = 2
    """Of downpour: processes that compute gradients, each on a part of the data of its own."""
    servers: Annotated[Processes, OfDownpour, OF_SERVERS] = 1
    """Of downpour: processes that apply them, each to a part of the parameters."""
    staleness: Annotated[Staleness | None, OfDownpour, OF_SERVERS] = None
    """Of downpour: how many updates a worker may be ahead of the slowest before it waits; by default it never waits."""
    address: Annotated[str | None, OfDownpour, OF_SERVERS] = None
    """Of downpour: of the Ray cluster to join, HOST:PORT; by default one is started here, for this machine alone.
    Join only one that nobody else reaches: it executes what you send, and you what it answers."""
    keep: Annotated[Count, OF_FOLDER] = 3
    """Checkpoints to keep, beside the best."""
    tensorboard: Annotated[bool, OF_FOLDER] = True
    """Whether to write TensorBoard events."""
    pictures: Annotated[bool, OF_FOLDER] = True
    """Whether to draw the pictures and the report at the end."""

    ADDED_LATER: ClassVar[dict[str, Any]] = {  # what older files lack, and meant
        **dict.fromkeys(("dropout_rate", "placement", "devices", "staleness", "address", "patience")),
        **{"strategy": "synchronous", "workers": 2, "servers": 1, "validation": "none"},
    }


_MLP = Training("mlp", epochs=10, batch_size=64, learning_rate=2e-3, b2=0.99)
RECIPES = {
    "lenet5": Training("lenet5", b2=0.99),
    "lenet1998": Training("lenet1998", epochs=5, batch_size=128, learning_rate=2e-3, b2=0.99),
    "mlp": _MLP,
    "softmax_regression": dataclasses.replace(_MLP, model="softmax_regression", epochs=5),
}


def check(config: Training) -> Training:
    """The configuration itself, if every value is one that a training can have; else ValueError says which is not."""
    validate(config)
    if config.placement == "single" and config.devices not in (None, 1):
        raise ValueError(f"--placement single is one device; received --devices {config.devices}. Leave one out.")
    if config.patience is not None and config.validation == "none":
        raise ValueError(f"--patience watches the data held out; received {config.patience} with --validation none.")
    if config.strategy == "downpour" and (config.placement, config.devices) != (None, None):
        raise ValueError("--strategy downpour has --workers and --servers; received --placement or --devices as well.")
    if config.nesterov and config.momentum == 0:
        raise ValueError("--nesterov looks ahead along the velocity; received --momentum 0. Give a momentum, say 0.9.")
    return config


def check_runnable(config: Training) -> Training:
    """As `check`, and this machine can hold it."""
    check(config)
    if config.model == "mlp":
        check_widths(config.hidden)
    if config.strategy == "downpour" and config.address is None:
        check_processes(config.workers + config.servers, "--workers and --servers")
    return config


def check_given(config: Training, default: Training) -> Training:
    """As `check_runnable`, and every flag that was given, so that it is not the recipe's, changes something."""
    check_effects(check_runnable(config), default)
    return config


def load_data(config: Training):
    """The `jaxnn.data.Dataset`, cut to the examples asked for.

    Raises:
      ValueError: unknown or damaged data, subsets larger than the data.
      FileNotFoundError: the data's files are missing.
    """
    from jaxnn import data

    dataset = data.load(config.data, folder=config.data_folder)
    return data.subset(dataset, train=config.train_examples, test=config.test_examples)


def to_record(config: Training) -> dict:
    """The configuration as JSON can hold it."""
    return record_of(config)


def from_record(record: Any, *, where: str, kind: type[Training] = Training) -> Training:
    """The inverse of `to_record`; ValueError names what an edit broke in `where`. `kind` has the recipe's flags."""
    return read_record(kind, record, where=where, check=check_runnable)
