"""Rules on fields: what they refuse and how they say it; records of every kind of damage; flags that change nothing."""

import copy
import dataclasses
import math
from typing import Annotated

import pytest
import tyro

from jaxnn import optimizers
from jaxnn.cli import training_flags
from jaxnn.cli.cross_validation_command import CrossValidationFlags
from jaxnn.cli.ensemble_command import EnsembleFlags
from jaxnn.cli.field_records import read_record, record_of
from jaxnn.cli.field_rules import POSITIVE, Between, Each, Needs, check_effects, fields_of, validate
from jaxnn.cli.flag_words import check_words
from jaxnn.cli.population_flags import Settings, SettingsWithoutTest
from jaxnn.cli.search_command import SearchFlags
from jaxnn.cli.training_flags import MODELS, OPTIMIZERS, RECIPES, Training, check_given, from_record, optimizers_with
from jaxnn.signatures import accepted

FLAGS = ("momentum", "nesterov", "b1", "b2", "eps", "weight_decay")
KINDS = {
    "train": RECIPES["mlp"],
    "search": SearchFlags(SettingsWithoutTest(**vars(RECIPES["mlp"])), over=("learning_rate=0.1,0.2",)),
    "ensemble": EnsembleFlags(Settings(**vars(RECIPES["mlp"]))),
    "cross-validate": CrossValidationFlags(SettingsWithoutTest(**vars(RECIPES["mlp"])), over=("hidden=8,16",)),
}


@dataclasses.dataclass(frozen=True)
class Inner:
    """A configuration inside another."""

    rate: Annotated[float, Between(0, 1, "[)")] = 0.5


@dataclasses.dataclass(frozen=True)
class Outer:
    """One field of each kind."""

    inner: Inner = Inner()
    count: Annotated[int, Between(1, 100)] = 1
    step: Annotated[float | None, POSITIVE] = None
    widths: Annotated[tuple[int, ...], Each(Between(1, 9), most=3)] = (1,)
    name: str = "a"
    deep: bool = False
    many: Annotated[int, Between(1, 9), Needs("deep", (True,)), tyro.conf.arg(aliases=["-m"])] = 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "--count must be an integer of at least 1; received 0. Leave it out for its default."),
        ({"count": 101}, "--count must be an integer of at most 100; received 101"),
        ({"count": 10**30}, "at most 100; received 1000"),
        ({"step": 0.0}, "--step must be a positive, finite number; received 0.0"),
        ({"step": math.nan}, "--step must be a positive, finite number; received nan"),
        ({"step": 1e39}, "--step must be at least 1e-37 and at most 1e+30; received 1e+39"),
        ({"step": 1e-46}, "at least 1e-37"),
        ({"widths": (3, 0)}, "--widths must be an integer of at least 1; received 0"),
        ({"widths": (1, 2, 3, 4)}, "--widths must have at most 3 values; received 4"),
        ({"name": ""}, "--name must not be empty"),
        ({"name": "a\0b"}, "--name must not be empty or hold a zero byte"),
        ({"inner": Inner(1.0)}, "--rate must be at least 0 and less than 1; received 1.0"),
        ({"inner": Inner(0.9999999999)}, "--rate must be at least 0 and less than 1; received 0.9999999999"),
        ({"many": 0}, "-m must be an integer of at least 1"),
    ],
)
def test_the_first_wrong_field_is_named_in_a_sentence(change, words):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared below, without patterns)
        validate(dataclasses.replace(Outer(), **change))
    assert words in str(refused.value)


def test_what_keeps_the_rules_passes():
    config = Outer(Inner(0.0), 100, 1e-37, (9, 1, 1), "é", True, 9)
    assert validate(config) is config
    assert validate(Outer()) == Outer()


@pytest.mark.parametrize("command", KINDS)
def test_a_record_is_read_back(command):
    kind = type(KINDS[command])
    assert read_record(kind, record_of(KINDS[command]), where="here", check=validate) == KINDS[command]


WRONG = {  # what no field of the type may be, as JSON has it
    int: [None, True, 1.0, "1", [], {}, [1], 10**30, -1],
    float: [True, 1, "0.1", math.nan, math.inf, -math.inf, [0.1], {}, -1.0, 1e39],
    str: [1, True, [], {}, "", "a\0b"],
    bool: [0, 1, "true", [], {}],
    tuple: [None, 1, "8", {}, [1.5], [math.nan], [True], ["8"], [None], [[1]], [0], [10**30]],
}


def type_of(hint):
    """int, float, str, bool or tuple; of a field that may be missing, too."""
    return next(kind for kind in (bool, int, float, str, tuple) if kind.__name__ in str(hint).lower())


@pytest.mark.parametrize("command", KINDS)
def test_every_field_of_every_record_refuses_what_it_cannot_be(command):
    kind, whole = type(KINDS[command]), record_of(KINDS[command])
    places = [((), name, hint) for name, hint in fields_of(kind).items() if name != "training"]
    places += [(("training",), name, hint) for name, hint in fields_of(Training).items() if "training" in whole]
    for inside, name, hint in places:
        default = getattr(KINDS[command].training if inside else KINDS[command], name)
        expected = type(default) if default is not None else type_of(hint)
        for value in WRONG[expected]:
            if (value is None and "None" in str(hint)) or (name == "over" and value == ["8"]):
                continue
            record = copy.deepcopy(whole)
            (record["training"] if inside else record)[name] = value
            with pytest.raises(ValueError, match=r"^here/config.json: .* Was the file edited\? Restore it") as refused:
                read_record(kind, record, where="here/config.json", check=validate)
            assert name.replace("_", "-") in str(refused.value).lower().replace("_", "-"), (name, value)
            assert len(str(refused.value)) < 400


@pytest.mark.parametrize("record", [None, 3, [], "text", [[[[]]]]])
def test_what_is_no_object_is_no_configuration(record):
    with pytest.raises(ValueError, match="the configuration must be an object; received"):
        from_record(record, where="here")
    with pytest.raises(ValueError, match="the configuration must be an object; received"):
        read_record(EnsembleFlags, record_of(KINDS["ensemble"]) | {"training": record}, where="here", check=validate)


def test_fields_that_are_missing_or_foreign_are_named():
    whole = record_of(RECIPES["mlp"])
    with pytest.raises(ValueError, match="here: the configuration lacks epochs"):
        from_record({name: value for name, value in whole.items() if name != "epochs"}, where="here")
    with pytest.raises(ValueError, match="here: the configuration has 'learning_rat', which this version does not"):
        from_record(whole | {"learning_rat": 1}, where="here")


# ------------------------------------------------------------------------------------------------------ what changes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"momentum": 0.9}, "--momentum changes nothing with --optimizer adam; received 0.9. Leave it out, or take "),
        ({"optimizer": "sgd", "b1": 0.5}, "--b1 changes nothing with --optimizer sgd"),
        ({"optimizer": "sign_sgd", "eps": 1e-8}, "--eps changes nothing with --optimizer sign_sgd"),
        ({"weight_decay": 0.1}, "or take --optimizer adadelta, adamaxw, adamw, lamb, lars, lion, muon or nadamw."),
        ({"optimizer": "lion", "nesterov": True}, "--nesterov changes nothing with --optimizer lion; received True"),
        (
            {"decay_rate": 0.5},
            "with --schedule one_cycle; received 0.5. Leave it out, or take --schedule step_decay or",
        ),
        ({"model": "lenet5", "hidden": (5,)}, "--hidden changes nothing with lenet5; received (5,). Leave it out, or"),
        ({"model": "lenet5", "dropout_rate": 0.5}, "--dropout-rate changes nothing with lenet5"),
        ({"model": "lenet1998", "label_smoothing": 0.1}, "--label-smoothing changes nothing with lenet1998"),
        ({"workers": 3}, "--workers changes nothing with --strategy synchronous; received 3"),
        ({"servers": 3}, "--servers changes nothing"),
        ({"staleness": 3}, "--staleness changes nothing"),
        ({"address": "127.0.0.1:1"}, "--address changes nothing"),
    ],
)
def test_a_flag_that_changes_nothing_is_refused(config, words):
    recipe = RECIPES[config.get("model", "mlp")]
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared below, without patterns)
        check_given(dataclasses.replace(recipe, **config), recipe)
    assert words in str(refused.value)


def test_what_one_of_the_values_tried_takes_changes_something():
    config = dataclasses.replace(RECIPES["mlp"], momentum=0.9)
    check_effects(config, RECIPES["mlp"], over={"optimizer": ("adam", "sgd"), "b1": (0.1, 0.2)})
    with pytest.raises(ValueError, match="--momentum changes nothing with --optimizer adam or lion"):
        check_effects(config, RECIPES["mlp"], over={"optimizer": ("adam", "lion")})
    with pytest.raises(ValueError, match="--over eps changes nothing with --optimizer sgd; received it"):
        check_effects(RECIPES["mlp"], RECIPES["mlp"], over={"optimizer": ("sgd",), "eps": (0.1,)})


@pytest.mark.parametrize("flag", FLAGS)
def test_the_list_names_exactly_the_flags_that_an_optimizer_takes(flag):
    takers = tuple(name for name in OPTIMIZERS if accepted(getattr(optimizers, name), **{flag: None}))
    assert optimizers_with(f"--{flag.replace('_', '-')}") == takers


def test_every_recipe_is_a_model_that_can_be_named_and_gives_nothing_idle():
    assert tuple(RECIPES) == MODELS
    for recipe in RECIPES.values():
        assert check_given(recipe, recipe) is recipe
    assert training_flags.RECIPES["mlp"].hidden == (128,)


# ----------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--momentum", "abc"], "--momentum must be a number; received 'abc'."),
        (["--epochs", "1.5"], "--epochs must be an integer; received '1.5'."),
        (["--epochs"], "--epochs needs an integer behind it; received none."),
        (["--epochs="], "--epochs must be an integer; received ''."),
        (["--hidden"], "--hidden needs an integer behind it; received none."),
        (["--hidden", "8", "wide"], "--hidden must be an integer; received 'wide'."),
        (["--epochs", "9" * 5000], "--epochs must be an integer; received '9999"),
        (["--epochs", "1", "--epochs", "2"], "--epochs must stand once; received it twice. Leave one out."),
        (["--pictures", "--no-pictures"], "--no-pictures must not stand beside --pictures. Leave one out."),
        (["--pictures=yes"], "--pictures takes no value; received 'yes'. Say --pictures, or leave it out."),
        (["--lr", "0.1"], "unknown flag of `jaxnn train` '--lr'; did you mean '--learning-rate'?"),
        (["--learning_rat", "0.1"], "did you mean '--learning-rate'? `jaxnn train --help` lists them."),
        (["--" + "x" * 9999], "`jaxnn train --help` lists them."),
        (["mlp", "lenet5"], "`jaxnn train` takes no 'lenet5' there. `jaxnn train --help` explains."),
        (["-x"], "unknown flag of `jaxnn train` '-x'"),
        (["--learning-rate", "--epochs", "1"], "--learning-rate needs a number behind it; received none."),
    ],
)
def test_words_that_make_no_sense(words, said):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared below, without patterns)
        check_words(Training, words, command="train")
    assert said in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    "words",
    [
        ["mlp", "--epochs", "3", "--hidden", "8", "16", "--no-pictures"],
        ["--batch_size=3", "mlp"],
        ["--nesterov", "mlp", "--learning-rate", "-inf", "--momentum", "None"],
        ["--help", "--whatever"],
    ],
)
def test_words_that_can_be_parsed_pass(words):
    check_words(Training, words, command="train")
