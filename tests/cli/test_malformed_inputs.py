"""Some malformed inputs in this process, and every tenth apart; `python tests/refusals.py` runs all of them."""

import itertools

import pytest
from malformed_inputs import Case, all_cases, commands, numbers, overs, words
from refusals import answer, faults, run_apart

FEW = {  # of the generators that need neither a run nor JAX: every so many-eth case
    "commands": (commands(), 15),
    "words": (words("run"), 150),
    "overs": (overs(), 9),
    "numbers": (itertools.islice(numbers(), 6, None), 13),
}
SAMPLE = [case for cases, step in FEW.values() for case in [*cases][::step]]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: " ".join(case.args)[:50].encode("unicode_escape").decode())
def test_a_malformed_command_line_is_one_sentence(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answered = answer(case)
    assert [fault for fault in faults(answered) if "MiB" not in fault] == [], answered.said
    assert not list(tmp_path.iterdir())


def test_a_fault_is_seen():
    """Of the checks themselves: a command that does its work, and one that says two lines, are no refusals."""
    assert faults(answer(Case("valid", ["list"])))[:2] == ["status 0", "no sentence"]
    refused = answer(Case("wrong", ["train", "mlp", "--epochs", "0"]))
    assert faults(refused) == [] or refused.mebibytes > 1024
    assert "2 lines" in faults(refused._replace(said=2 * refused.said))
    assert "jargon" in faults(refused._replace(said="jaxnn: [Errno 17] File exists.\n"))
    assert "99 s of the processor" in faults(refused._replace(seconds=99.0))


@pytest.mark.soak
@pytest.mark.parametrize("share", range(3))
def test_every_tenth_malformed_input(share, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = all_cases(tmp_path)[share::30]
    wrong = {" ".join(case.args)[:200]: faults(of) for case, of in zip(cases, run_apart(cases), strict=True)}
    assert {args: found for args, found in wrong.items() if found} == {}
    assert len(cases) > 90
