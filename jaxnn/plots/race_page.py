"""One HTML page shows all races, with play, pause and a slider.

The page is one file that opens offline. It holds paths and contour lines as JSON, and a small script draws them on a
canvas. All text that is inserted is escaped.
"""

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from jaxnn.diagnostics.surfaces import Surface
from jaxnn.diagnostics.trajectories import judge
from jaxnn.plots.html_page import render_page
from jaxnn.plots.race_animation import write_whole
from jaxnn.plots.race_plots import checked_paths, contours, cut_off, look

_DIGITS = 4  # decimals of coordinates in the page, in units of the frame: a tenth of a pixel


def write_race_page(
    path: str | os.PathLike, races: Mapping[Surface, np.ndarray], names: Sequence[str], *, title: str
) -> Path:
    """Writes all races as one HTML page.

    Args:
      path: the path of the file, which is replaced as a whole, or stays as it is.
      races: surface -> paths (optimizer, steps + 1, 2).
      names: the names of the optimizers.
      title: the heading.

    Raises:
      ValueError: if there is no race, or not one path for each name.
    """
    if not races:
        raise ValueError("`races` must hold at least one surface with its paths; received none.")
    data = {
        "looks": [look(i)._asdict() | {"name": name} for i, name in enumerate(names)],
        "races": [_as_json(surface, names, paths) for surface, paths in races.items()],
    }
    # "<" is written as an escape, so that no name can close the script element; JSON.parse restores it
    inserted = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    options = "".join(f'<option value="{i}">{escape(surface.name)}</option>' for i, surface in enumerate(races))
    body = _BODY.substitute(title=escape(title), data=inserted, options=options)
    return write_whole(Path(path), render_page(title=title, style=_STYLE, body=body, script=_SCRIPT))


def _as_json(surface, names, paths) -> dict:
    """Returns one race in units of its frame: x to the right and y upward, both in [0, 1] inside the frame."""
    paths = checked_paths(names, paths)
    minimum = None if surface.minimum is None else _in_frame(surface, [surface.minimum])[0]
    return {
        "name": surface.name,
        "formula": surface.formula,
        "x": surface.x_limits,
        "y": surface.y_limits,
        "start": _in_frame(surface, [surface.start])[0],
        "minimum": minimum,
        "contours": _contour_lines(surface),
        "paths": [_in_frame(surface, cut_off(surface, path)) for path in paths],
        "said": [judge(surface, path).said for path in paths],
        "steps": paths.shape[1] - 1,
    }


def _in_frame(surface, points) -> list:
    low, high = np.array([surface.x_limits, surface.y_limits], float).T
    return np.round((np.asarray(points, float) - low) / (high - low), _DIGITS).tolist()


def _contour_lines(surface) -> list:
    """Returns the polylines of all levels."""
    from contourpy import contour_generator

    grid = contours(surface)
    generator = contour_generator(grid.x, grid.y, grid.z)
    lines = (line for level in grid.levels for line in generator.lines(level))
    return [_in_frame(surface, np.concatenate([line[:-1:2], line[-1:]])) for line in lines]


_BODY = Template("""\
<main>
<h1>$title</h1>
<p class="controls">
<label>surface <select id="surface">$options</select></label>
<button id="play" type="button">Pause</button>
<input id="step" type="range" min="0" value="0" step="1" aria-label="step">
<output id="count" for="step"></output>
</p>
<p id="formula"></p>
<canvas id="picture" role="img" aria-label="paths of the optimizers on the contours of the surface"></canvas>
<ul id="legend"></ul>
</main>
<script type="application/json" id="data">$data</script>""")

_STYLE = """\
:root { --line: #aab6c2; }
@media screen and (prefers-color-scheme: dark) { :root { --line: #4a535d; } }
body { max-width: 56rem; }
h1 { margin-bottom: 1rem; }
.controls { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; margin: 0; }
.controls input { flex: 1 1 10rem; }
select, button { font: inherit; padding: .2rem .7rem; }
button { min-width: 5rem; }
output { min-width: 5.5rem; font-variant-numeric: tabular-nums; }
#formula { margin: .75rem 0; color: var(--faint); }
canvas { display: block; width: 100%; border: 1px solid var(--line); border-radius: .5rem; background: var(--frame); }
#legend { list-style: none; margin: 1rem 0 0; padding: 0; display: grid; gap: .25rem 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); }
#legend label { display: flex; gap: .6rem; align-items: center; }
#legend svg { flex: none; }
"""

_SCRIPT = """
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const [surface, play, slider, count, formula, canvas, legend] =
  ["surface", "play", "step", "count", "formula", "picture", "legend"].map(id => document.getElementById(id));
const dark = matchMedia("(prefers-color-scheme: dark)"), still = matchMedia("(prefers-reduced-motion: reduce)");
const shown = data.looks.map(() => true);
const SECONDS = 8, WIDTH = 2.5;
let race = data.races[0], position = 0, playing = !still.matches, before = null;

const colour = look => dark.matches ? look.on_dark : look.colour;
const variable = name => getComputedStyle(document.documentElement).getPropertyValue(name);

function draw() {
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = Math.round(width * 0.6);
  canvas.style.height = height + "px";
  canvas.width = width * ratio; canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.lineJoin = "round";
  const at = ([x, y]) => [x * width, (1 - y) * height];
  const stroke = points => {
    pen.beginPath();
    points.forEach((point, i) => i ? pen.lineTo(...at(point)) : pen.moveTo(...at(point)));
    pen.stroke();
  };
  pen.strokeStyle = variable("--line"); pen.lineWidth = 0.8;
  race.contours.forEach(stroke);
  mark(pen, at(race.start), 1);
  if (race.minimum) mark(pen, at(race.minimum), 5);
  const step = Math.floor(position);
  race.paths.forEach((path, i) => {
    if (!shown[i] || !path.length) return;
    pen.strokeStyle = pen.fillStyle = colour(data.looks[i]);
    pen.lineWidth = WIDTH;
    pen.setLineDash(data.looks[i].dashes.map(length => length * WIDTH));
    stroke(path.slice(0, step + 1));
    pen.setLineDash([]);
    pen.beginPath(); pen.arc(...at(path[Math.min(step, path.length - 1)]), 5, 0, 7); pen.fill();
  });
  slider.value = step; count.textContent = "step " + step;
}

function mark(pen, [x, y], tips) {  // a disc, or a star of five tips
  pen.fillStyle = variable("--text");
  pen.beginPath();
  if (tips === 1) pen.arc(x, y, 6, 0, 7);
  else for (let i = 0; i < 10; i++) {
    const radius = i % 2 ? 5 : 12, angle = i * Math.PI / 5 - Math.PI / 2;
    pen.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  pen.fill();
}

function explain() {
  formula.textContent = "f(x, y) = " + race.formula + ",   x from " + race.x.join(" to ") + ", y from " +
    race.y.join(" to ") + "; disc: start" + (race.minimum ? ", star: minimum" : "");
  legend.replaceChildren(...data.looks.map((look, i) => {
    const item = document.createElement("li"), label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox"; box.checked = shown[i];
    box.onchange = () => { shown[i] = box.checked; draw(); };
    const space = "http://www.w3.org/2000/svg", sample = document.createElementNS(space, "svg");
    const line = document.createElementNS(space, "line");
    sample.setAttribute("width", 40); sample.setAttribute("height", 8);
    const form = {x1: 0, x2: 40, y1: 4, y2: 4, stroke: colour(look), "stroke-width": WIDTH,
      "stroke-dasharray": look.dashes.map(length => length * WIDTH).join(" ") || "none"};
    for (const name in form) line.setAttribute(name, form[name]);
    sample.append(line);
    label.append(box, sample, look.name + ": " + race.said[i]);
    item.append(label);
    return item;
  }));
}

function choose() {
  race = data.races[surface.value]; slider.max = race.steps;
  position = still.matches ? race.steps : 0;
  explain(); draw();
}

function tick(now) {
  if (playing && before !== null) {
    position += (now - before) / 1000 / SECONDS * race.steps;
    if (position >= race.steps) { position = race.steps; setPlaying(false); }
    draw();
  }
  before = now;
  requestAnimationFrame(tick);
}

function setPlaying(value) { playing = value; play.textContent = playing ? "Pause" : "Play"; }

play.onclick = () => { if (!playing && position >= race.steps) position = 0; setPlaying(!playing); };
slider.oninput = () => { setPlaying(false); position = +slider.value; draw(); };
surface.onchange = () => { choose(); setPlaying(!still.matches); };
addEventListener("resize", draw);
dark.addEventListener("change", () => { explain(); draw(); });
setPlaying(playing); choose(); requestAnimationFrame(tick);
"""
