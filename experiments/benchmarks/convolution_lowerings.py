"""Which lowering of a convolution is fastest inside a compiled loop, and does `choose_lowering` pick it?

    python experiments/benchmarks/convolution_lowerings.py --record

Milliseconds of one forward and backward pass, inside `lax.fori_loop`, of every lowering on the shapes of LeNet-5 and
ResNet-20, a strided, a 1 x 1 and small-batch ones. Each turn of the loop moves the kernel and the image by their
gradients, so that no part of the work can be dropped or moved out of the loop. (The first layer of a network needs no
gradient of its image: there the image moves by the mean of the kernel's.) Expected on CPU: the choice is the fastest of
nearly every row, and `xla` ten times slower than the others where the batch is large.
"""

import dataclasses
import statistics
import time
from dataclasses import dataclass
from typing import NamedTuple

import jax
import tyro
from jax import lax
from measuring import Report, in_turn, publish

from jaxnn.layers import LOWERINGS, choose_lowering, convolve

STEP = 1e-6
TIE = 0.05  # slower by no more than this is as good


class Convolution(NamedTuple):
    """A row: name, sizes, and whether the gradient of the image is wanted."""

    name: str
    batch: int
    size: int
    features_in: int
    features_out: int
    kernel: int
    stride: int = 1
    padding: str = "SAME"
    moves_image: bool = True

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the image (NHWC) and of the kernel (HWIO)."""
        image = (self.batch, self.size, self.size, self.features_in)
        return image, (self.kernel, self.kernel, self.features_in, self.features_out)


CONVOLUTIONS = (
    Convolution("LeNet-5 conv1", 128, 28, 1, 6, 5, moves_image=False),
    Convolution("LeNet-5 conv2", 128, 14, 6, 16, 5, padding="VALID"),
    Convolution("ResNet-20 stage 1", 64, 32, 16, 16, 3),
    Convolution("ResNet-20 stage 2", 64, 16, 32, 32, 3),
    Convolution("ResNet-20 stage 3", 64, 8, 64, 64, 3),
    Convolution("strided", 64, 32, 16, 32, 3, stride=2),
    Convolution("1 x 1", 64, 16, 32, 64, 1),
    Convolution("LeNet-5 conv2, batch 1", 1, 14, 6, 16, 5, padding="VALID"),
    Convolution("LeNet-5 conv2, batch 8", 8, 14, 6, 16, 5, padding="VALID"),
    Convolution("ResNet-20 stage 1, batch 1", 1, 32, 16, 16, 3),
    Convolution("ResNet-20 stage 1, batch 8", 8, 32, 16, 16, 3),
)


@dataclass(frozen=True)
class Settings:
    """Options of the benchmark."""

    rounds: int = 7
    seconds: float = 0.3  # that a call of the compiled loop is sized to take
    smoke: bool = False  # two rows, figures without meaning
    record: bool = False  # write the section of RESULTS.md


def main(settings: Settings) -> None:
    rows = CONVOLUTIONS
    if settings.smoke:
        rows, settings = CONVOLUTIONS[7:9], dataclasses.replace(settings, rounds=1, seconds=0.01)
    measured = [measure(convolution, settings) for convolution in rows]
    publish(summarize(rows, measured), script=__file__, doc=__doc__, record=settings.record)


def measure(convolution: Convolution, settings: Settings) -> dict[str, float]:
    """Milliseconds of a step of each lowering, medians over rounds in which they take turns."""
    contestants = {f"{convolution.name}, {name}": timer(convolution, name, settings.seconds) for name in LOWERINGS}
    measured = in_turn(contestants, rounds=settings.rounds)
    return {name: statistics.median(times) for name, times in zip(LOWERINGS, measured.values(), strict=True)}


def timer(convolution: Convolution, lowering: str, seconds: float):
    """A contestant: calls the compiled loop, with as many steps as take about `seconds`."""
    loop, carry = compile_loop(convolution, lowering)

    def milliseconds(steps: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(loop(carry, steps))
        return 1e3 * (time.perf_counter() - start) / steps

    milliseconds(1)
    steps = max(1, round(1e3 * seconds / milliseconds(3)))
    return lambda _: milliseconds(steps)


def compile_loop(convolution: Convolution, lowering: str):
    """`(loop, (image, kernel))`: descent on half the sum of squares of the convolution's output."""
    shapes = convolution.shapes
    keys = jax.random.split(jax.random.key(0))
    carry = tuple(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))

    def step(_, carry):
        y, pullback = jax.vjp(lambda *args: strided(convolution, *args, lowering=lowering), *carry)
        d_image, d_kernel = pullback(y)
        move = d_image if convolution.moves_image else d_kernel.mean()
        return carry[0] - STEP * move, carry[1] - STEP * d_kernel

    return jax.jit(lambda carry, steps: lax.fori_loop(0, steps, step, carry)).lower(carry, 1).compile(), carry


def strided(convolution: Convolution, image, kernel, *, lowering: str):
    """The convolution of the row."""
    return convolve(image, kernel, (convolution.stride,) * 2, convolution.padding, lowering=lowering)


def choice(convolution: Convolution) -> str:
    """What `convolve` would take when it is not told."""
    (image, kernel), strides = convolution.shapes, (convolution.stride,) * 2
    pads = tuple(lax.padtype_to_pads(image[1:3], kernel[:2], strides, convolution.padding))
    return choose_lowering(image, kernel, strides, pads)


def summarize(rows, measured: list[dict[str, float]]) -> Report:
    """The table; how often the choice was the fastest, and what the choices cost beside the fastest."""
    chosen = [choice(row) for row in rows]
    regrets = [times[name] / min(times.values()) - 1 for name, times in zip(chosen, measured, strict=True)]
    table = [line(*cells) for cells in zip(rows, measured, chosen, regrets, strict=True)]
    close = sum(regret <= TIE for regret in regrets)
    fastest = f"The choice was the fastest in {regrets.count(0.0)} of {len(regrets)} rows, within {TIE:.0%} in {close}"
    header = ("convolution", "image", "kernel", *(f"{name}, ms" for name in LOWERINGS), "choice", "regret")
    return Report(header, table, remarks=[f"{fastest}; mean regret {statistics.mean(regrets):.1%}."])


def line(row: Convolution, times: dict[str, float], chosen: str, regret: float) -> tuple[str, ...]:
    image, kernel = (" x ".join(map(str, shape)) for shape in row.shapes)
    kernel += f" / {row.stride}" if row.stride > 1 else ""
    return row.name, image, kernel, *(f"{ms:.3f}" for ms in times.values()), chosen, f"{regret:.0%}"


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
