"""Writes the README's tables of fidelity and speed, from what `jaxnn verify` and the benchmarks recorded.

    python experiments/front_page.py --verify    # verifies on this machine in float64 and float32 first (minutes)
    python experiments/front_page.py             # only writes the tables anew

`fidelity/NAME.json` is what `jaxnn verify --json` printed on a device, `benchmarks/RESULTS.md` what `--record` wrote.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import tyro
from benchmarks.measuring import RESULTS, markdown

FOLDER = Path(__file__).resolve().parent
README, FIDELITY = FOLDER.parent / "README.md", FOLDER / "fidelity"
NETWORKS = {"mlp_throughput": "784-128-10, batch 64", "lenet_throughput": "LeNet-5, batch 128"}
ORACLES = ("JAX", "Flax", "Optax", "NumPy", "SciPy", "PyTorch", "Keras")
MOMENTS = ("mean / std", "std")  # of initializers' draws: these are compared to within their sampling error
PEERS = ("PyTorch eager", "Keras on JAX", "Flax + Optax, host loop")


@dataclass(frozen=True)
class Settings:
    """Options of the front page."""

    verify: bool = False  # hold every piece beside its reference on this machine first


def main(settings: Settings) -> None:
    if settings.verify:
        for dtype in ("float64", "float32"):
            verified = subprocess.run(
                [sys.executable, "-m", "jaxnn", "verify", "--json", "--dtype", dtype],
                check=True, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            (FIDELITY / f"{dtype}.json").write_text(verified.stdout)
    README.write_text(with_tables(README.read_text()))


def with_tables(readme: str) -> str:
    """The README with its tables as the records have them."""
    reports = [json.loads(path.read_text()) for path in FIDELITY.glob("*.json")]
    reports.sort(key=lambda report: (report["dtype"] != "float64", report["device"] != "cpu", report["device"]))
    for name, table in {"fidelity": fidelity(reports), "speed": speed(RESULTS.read_text())}.items():
        readme = fill(readme, name, table)
    return readme


def fill(text: str, name: str, body: str) -> str:
    """`text` with `body` between the marks of `name`.

    >>> print(fill("a <!-- speed --> old <!-- /speed --> b", "speed", "new"))
    a <!-- speed -->
    new
    <!-- /speed --> b
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in text or end not in text:
        raise ValueError(f"the text must have the marks `{start}` and `{end}`.")
    return f"{text.split(start)[0]}{start}\n{body}\n{end}{text.split(end)[1]}"


def fidelity(reports: Sequence[Mapping]) -> str:
    """A row for each kind of piece: how many, on how many cases, beside whom, and the largest relative difference."""
    header = ("kind", "pieces", "cases", "beside", *(f"{r['dtype']} on {device(r)}" for r in reports))
    by_kind = [{k: list(rows) for k, rows in groupby(r["rows"], lambda row: row["kind"])} for r in reports]
    table = []
    for kind, rows in by_kind[0].items():
        libraries = {re.split(r"[ .']", row["oracle"])[0].lower() for row in rows}
        oracles = [name for name in ORACLES if name.lower() in libraries]
        worst = [f"{worst_difference(of[kind]):.0e}" for of in by_kind]
        pieces, cases = len({row["piece"] for row in rows}), sum(row["cases"] for row in rows)
        table.append((kind, f"{pieces}", f"{cases}", ", ".join(oracles), *worst))
    return markdown(header, table)


def worst_difference(rows: Sequence[Mapping]) -> float:
    """The largest of the rows that compare number with number."""
    return max(row["difference"] for row in rows if row["quantity"] not in MOMENTS)


def device(report: Mapping) -> str:
    """Of `jaxnn verify`: "cpu" as CPU, a GPU by its name."""
    return report["device"].partition(" (")[0].replace("cpu", "CPU")


def speed(results: str) -> str:
    """A row for each network and machine: jaxnn's images/s, and by how much it is faster than each peer."""
    header = ("training", "on", "jaxnn, images/s", *(f"x {peer}" for peer in PEERS))
    return markdown(header, speed_rows(results))


def speed_rows(results: str) -> Iterator[tuple[str, ...]]:
    sections = dict(section.split("\n", 1) for section in results.split("\n## ")[1:])
    for name, network in NETWORKS.items():
        for title, body in sections.items():
            if title.partition(" on ")[0] == name:
                cells = {row[0]: row for row in (line.strip("| ").split(" | ") for line in body.splitlines())}
                machine = title.partition(" on ")[2] or re.search(r"hardware: (.*?, \d+ cores)", body)[1]
                yield network, machine, cells["jaxnn `fit`"][1], *(cells[peer][3] for peer in PEERS)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
