from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.training.compilation import call, prepare, program

TRACES = []


@dataclass(frozen=True)
class Power:
    n: int

    def __call__(self, x):
        TRACES.append(self.n)
        return x**self.n


def test_equal_functions_and_shapes_share_one_program():
    x, TRACES[:] = jnp.arange(3.0), []
    compiled = prepare(Power(2), x)
    assert prepare(Power(2), jax.ShapeDtypeStruct((3,), jnp.float32)) is compiled
    assert prepare(Power(2), np.ones(3, np.float32)) is compiled
    assert call(Power(2), x + 1).tolist() == [1, 4, 9]
    assert len(program(Power(2), x).eqns) == 1
    assert TRACES == [2]
    for other in (prepare(Power(3), x), prepare(Power(2), jnp.arange(4.0)), prepare(Power(2), jnp.arange(3))):
        assert other is not compiled


def test_settings_that_change_the_program_make_another():
    x = jnp.ones((2, 2))
    plain = prepare(Power(5), x)
    with jax.default_matmul_precision("float32"):
        assert prepare(Power(5), x) is not plain
    assert prepare(Power(5), x) is plain


def test_donated_arguments_are_given_up_and_others_are_not():
    first, second = jnp.ones(4), jnp.ones(4)
    assert call(jnp.add, first, second, donate=(0,)).tolist() == [2] * 4
    assert first.is_deleted()
    assert not second.is_deleted()


def test_what_goes_wrong_in_tracing_is_raised_in_the_callers_thread():
    with pytest.raises(TypeError, match="dot_general"):
        prepare(jnp.matmul, jnp.ones((2, 3)), jnp.ones((2, 3)))
