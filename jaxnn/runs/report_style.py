"""`STYLE` is the CSS of `report.html` beyond the style of all pages: two columns where there is room, else one."""

STYLE = """\
body { max-width: 76rem; padding: 2rem 1.25rem; }
.kicker { margin: 0 0 .25rem; color: var(--faint); font-size: .9rem; overflow-wrap: anywhere; }
.summary { display: flex; flex-wrap: wrap; gap: 1.5rem 4rem; align-items: center; margin: 1rem 0 1.5rem; }
.summary p { margin: 0; color: var(--faint); }
.summary p.result { font-size: 4rem; font-weight: 700; line-height: 1.15; color: var(--accent); }
.numbers { display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; margin: 0; }
.numbers div { min-width: 7rem; }
.numbers dt { color: var(--faint); font-size: .9rem; }
.numbers dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.sections { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); gap: 2.75rem 2.5rem;
  align-items: start; margin-top: 2.75rem; }
section, figure { min-width: 0; margin: 0; }
.stack { display: grid; gap: 2.75rem; min-width: 0; }
.wide { grid-column: 1 / -1; }
h2, figcaption { margin: 0 0 .75rem; font-size: 1.2rem; font-weight: 600; line-height: 1.3; overflow-wrap: anywhere; }
pre { margin: 0; padding: .75rem 1rem; font-size: .9rem; background: var(--frame); border-radius: .5rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { max-width: 100%; overflow-x: auto; }
.card { background: #fff; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; }
.note { margin: .5rem 0 0; color: var(--faint); font-size: .9rem; }
img { display: block; margin: 0 auto; max-width: 100%; height: auto; }
@media screen and (prefers-color-scheme: dark) {
  .card { background: #d9d9d9; }
  img { filter: brightness(.85); }
  .card:has(.ink) { background: #1a1a1a; }
  .ink { filter: invert(.9) hue-rotate(180deg); }
}
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1.25rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; }
th:first-child { text-align: left; }
thead th { color: var(--faint); font-weight: 400; vertical-align: bottom; white-space: normal; line-height: 1.25; }
.facts { width: 100%; }
.facts th { color: var(--faint); font-weight: 400; vertical-align: top; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
details { margin-top: .75rem; }
summary { cursor: pointer; color: var(--faint); }
details pre { margin-top: .5rem; }
footer { margin-top: 3rem; color: var(--faint); font-size: .9rem; }
@media (max-width: 40rem) {
  img.large { max-width: min(40rem, 200vw); }
  .card { padding: .25rem; }
  th, td { padding-right: .75rem; }
  picture img { width: 100%; }
}
@media print {
  body { max-width: none; padding: 0; font-size: .8rem; }
  figure, section, header { break-inside: avoid; }
  .sections { display: block; }
  .sections > * { margin-bottom: 1.5rem; }
  .scroll { overflow: visible; }
  .card { border: 0; padding: 0; }
  img { max-height: 12cm; width: auto; }
  details { display: none; }
}
"""
