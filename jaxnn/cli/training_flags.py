"""`Training` has every hyperparameter with its default; `RECIPES` has the values for each model. Imports no jax."""

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
from jaxnn.placement_names import PLACEMENT_NAMES

OPTIMIZERS = {
    "adadelta": "steps in the units of the parameters (Zeiler 2012): --eps, --weight-decay",
    "adagrad": "each step divided by the root of all squared gradients (Duchi et al. 2011): --eps",
    "adam": "adaptive moments (Kingma and Ba 2014): --b1, --b2, --eps, --nesterov",
    "adamax": "Adam by the largest gradient (Kingma and Ba 2014): --b1, --b2, --eps",
    "adamaxw": "AdaMax with decoupled decay: --b1, --b2, --eps, --weight-decay",
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


def optimizers_with(flag: str) -> tuple[str, ...]:
    """Returns the optimizers whose description in `OPTIMIZERS` names a flag.

    >>> optimizers_with("--momentum")
    ('lars', 'rmsprop', 'sgd')
    """
    return tuple(name for name, text in OPTIMIZERS.items() if flag in re.findall(r"--[a-z0-9-]+", text))


Count = Annotated[int, Between(1, 2**31 - 1)]
Seed = Annotated[int, Between(0, 2**32 - 1)]
Positive = Annotated[float, POSITIVE]
Fraction = Annotated[float, Between(0, 1, "[)")]
Placement = Annotated[str, OneOf("placement", PLACEMENT_NAMES)]
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
    """Trains a model and keeps all results in a run folder."""

    model: Annotated[str, NameOrCode("model", MODELS), tyro.conf.Positional] = "lenet5"
    """Names the model (see `jaxnn list`), or your own recipe or model: FILE.py:NAME or package.module:NAME."""
    data: Annotated[str, OF_DATA] = "mnist"
    """Names the data set; `jaxnn list` lists the names."""
    data_folder: Annotated[str | None, OF_DATA] = None
    """Names the folder of the data files; by default the package of the data set or ~/.cache/jaxnn."""
    out: Annotated[str | None, OF_FOLDER] = None
    """Names a new run folder; by default runs/MODEL-001, -002, ..."""
    epochs: Count = 2
    """Sets the number of passes over the training data."""
    batch_size: Count = 64
    """Sets the number of examples in a step."""
    optimizer: Annotated[str, OneOf("optimizer", OPTIMIZERS), OF_OPTIMIZER] = "adam"
    """Selects the optimizer; `jaxnn list` lists the names and the flags of each."""
    learning_rate: Annotated[Positive, OF_OPTIMIZER] = 6e-3
    """Sets the step size; it is the largest that the schedule reaches."""
    schedule: Annotated[str, OneOf("schedule", SCHEDULES), OF_SCHEDULE] = "one_cycle"
    """Selects the schedule of the learning rate; `jaxnn list` lists the names."""
    warmup: Annotated[Fraction | None, OF_SCHEDULE] = None
    """Sets the fraction of all steps in which the learning rate rises; by default 0, and 0.2 for one_cycle."""
    decay_rate: Annotated[Positive, Needs("schedule", ("step_decay", "exponential")), OF_SCHEDULE] = 0.1
    """Sets the factor by which step_decay and exponential multiply the learning rate."""
    momentum: Annotated[Fraction | None, Needs("optimizer", optimizers_with("--momentum")), OF_OPTIMIZER] = None
    """Sets the weight of the past in the velocity; 0 means no momentum."""
    nesterov: Annotated[bool, Needs("optimizer", optimizers_with("--nesterov")), OF_OPTIMIZER] = False
    """Looks ahead along the velocity."""
    b1: Annotated[Fraction | None, Needs("optimizer", optimizers_with("--b1")), OF_OPTIMIZER] = None
    """Sets the decay of the first moment."""
    b2: Annotated[Fraction | None, Needs("optimizer", optimizers_with("--b2")), OF_OPTIMIZER] = None
    """Sets the decay of the second moment; short trainings need less than the usual 0.999."""
    eps: Annotated[Positive | None, Needs("optimizer", optimizers_with("--eps")), OF_OPTIMIZER] = None
    """Sets the number that keeps a division by a root finite."""
    weight_decay: Annotated[
        float | None, Between(0, MOST_POSITIVE), Needs("optimizer", optimizers_with("--weight-decay")), OF_OPTIMIZER
    ] = None
    """Sets how strongly the weights are pulled towards 0."""
    label_smoothing: Annotated[Fraction, Needs("model", tuple(name for name in MODELS if name != "lenet1998"))] = 0.0
    """Sets the probability that is spread evenly over all classes in the targets; lenet1998's criterion has none."""
    hidden: Annotated[Widths, OfMlp] = (128,)
    """Sets the widths of the hidden layers of mlp."""
    dropout_rate: Annotated[Fraction | None, OfMlp] = None
    """Sets the probability of dropping each hidden activation of mlp in training."""
    validation: Annotated[Held, OF_DATA] = "0.05"
    """Sets how much of the training data is held out, as a fraction, a number of examples, or none. These data choose
    the best checkpoint and when to stop early; the test data are measured once, at the end."""
    patience: Count | None = None
    """Stops after so many epochs in a row without improvement on the data held out; by default never."""
    seed: Seed = 0
    """Determines the initial parameters, the order of the examples and dropout."""
    train_examples: Annotated[Count | None, OF_DATA] = None
    """Uses only the first so many training examples."""
    test_examples: Annotated[Count | None, OF_DATA] = None
    """Uses only the first so many test examples."""
    placement: Annotated[Placement | None, OF_DEVICES] = None
    """Selects how the work is divided among devices; `jaxnn list` lists the ways. The default is single, and shard_map
    on several devices or processes."""
    devices: Annotated[Devices | None, OF_DEVICES] = None
    """Sets the number of devices; by default one, and all with a --placement; the CPU is divided into so many."""
    strategy: Annotated[Strategy, OF_SERVERS] = "synchronous"
    """Selects how updates are made: synchronous, or downpour, by server and worker processes; workers do not wait for
    one another, and Ray is needed, jaxnn[ray]. A user who reaches a port or socket of Ray executes code as you; those
    started here require a token and are on this machine only."""
    workers: Annotated[Processes, OfDownpour, OF_SERVERS] = 2
    """Sets, for downpour, the number of processes that compute gradients, each on its own part of the data."""
    servers: Annotated[Processes, OfDownpour, OF_SERVERS] = 1
    """Sets, for downpour, the number of processes that apply gradients, each to its own part of the parameters."""
    staleness: Annotated[Staleness | None, OfDownpour, OF_SERVERS] = None
    """Sets, for downpour, how many updates a worker may be ahead of the slowest before it waits; by default never."""
    address: Annotated[str | None, OfDownpour, OF_SERVERS] = None
    """Names, for downpour, the Ray cluster to join, HOST:PORT; by default one is started for this machine only. Join
    only a cluster that nobody else reaches: it executes what you send, and you execute what it answers."""
    keep: Annotated[Count, OF_FOLDER] = 3
    """Sets how many checkpoints are kept in addition to the best."""
    tensorboard: Annotated[bool, OF_FOLDER] = True
    """Writes TensorBoard events."""
    pictures: Annotated[bool, OF_FOLDER] = True
    """Draws the pictures and the report at the end."""

    ADDED_LATER: ClassVar[dict[str, Any]] = {  # missing in older files -> the value that they mean
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
    """Checks every value of a training and returns the configuration; ValueError names a value that is not allowed."""
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
    """Checks as `check` does, and also that this machine can hold the training; returns the configuration."""
    check(config)
    if config.model == "mlp":
        check_widths(config.hidden)
    if config.strategy == "downpour" and config.address is None:
        check_processes(config.workers + config.servers, "--workers and --servers")
    return config


def check_given(config: Training, default: Training) -> Training:
    """Checks as `check_runnable` does, and also that every flag that differs from the recipe has an effect."""
    check_effects(check_runnable(config), default)
    return config


def load_data(config: Training):
    """Returns the `jaxnn.data.Dataset` of a training, cut to the requested number of examples.

    Raises:
      ValueError: the data are unknown or damaged, or a subset is larger than the data.
      FileNotFoundError: the files of the data are missing.
    """
    from jaxnn import data

    dataset = data.load(config.data, folder=config.data_folder)
    return data.subset(dataset, train=config.train_examples, test=config.test_examples)


def to_record(config: Training) -> dict:
    """Returns the configuration as values that JSON can hold."""
    return record_of(config)


def from_record(record: Any, *, where: str, kind: type[Training] = Training) -> Training:
    """Inverts `to_record`; ValueError names the wrong field in `where`, and `kind` has the flags of the recipe."""
    return read_record(kind, record, where=where, check=check_runnable)
