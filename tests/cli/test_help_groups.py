import pytest

from jaxnn.cli.field_rules import fields_of
from jaxnn.cli.help_groups import _field_texts
from jaxnn.cli.main import main
from jaxnn.cli.training_flags import RECIPES, Training


def shown(args, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*args, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_flags_stand_in_groups_with_the_recipes_defaults(capsys):
    page = shown(["train", "lenet1998"], capsys)
    places = [
        page.index(f"{name} options") for name in ("optimizer", "schedule", "data", "devices", "downpour", "run-folder")
    ]
    assert places == sorted(places)
    assert places[0] < page.index("--momentum") < places[1] < page.index("--decay-rate") < places[2]
    assert f"default: {RECIPES['lenet1998'].learning_rate}" in page


def test_flags_of_other_models_are_not_shown(capsys):
    assert "--hidden" not in shown(["train", "lenet5"], capsys)
    assert "--hidden" in shown(["train", "mlp"], capsys)
    assert "--label-smoothing" not in shown(["train", "lenet1998"], capsys)


def test_every_flag_has_its_text():
    assert set(_field_texts(Training)) >= set(fields_of(Training))
