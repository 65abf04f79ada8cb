"""Every page that jaxnn writes is one file that opens offline, on a phone, in dark mode and on paper.

A page needs no other file: pictures are data URIs. Its content security policy forbids the browser to load anything,
or to run a script other than the one that was written into the page.
"""

import base64
import hashlib
from html import escape
from string import Template


def render_page(*, title: str, style: str, body: str, script: str = "") -> bytes:
    """Renders the page as the bytes of a file.

    Args:
      title: the title of the window; it is escaped here.
      style: CSS in addition to `STYLE`, whose colours it may use: `var(--text)`, `--faint`, `--page`, `--frame`,
        `--line` and `--accent` have other values in dark mode.
      body: HTML, in which the caller has escaped all text from outside.
      script: JavaScript that runs after the body is loaded.
    """
    page = _PAGE.substitute(
        title=escape(title), policy=_policy(script), style=STYLE + style, body=body, script=_element(script)
    )
    return page.encode(errors="replace")


def _policy(script: str) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if not script:
        return policy
    sha = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"{policy}; script-src 'sha256-{sha}'"


def _element(script: str) -> str:
    return f"<script>{script}</script>\n" if script else ""


_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style</style>
</head>
<body>
$body
$script</body>
</html>
""")

STYLE = """\
:root { color-scheme: light dark; --text: #1c1c1c; --faint: #5a5a5a; --page: #fff; --frame: #f4f6f8; --line: #d5dae0;
  --accent: #00568a; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #ececec; --faint: #b0b0b0; --page: #16181b; --frame: #202429; --line: #3f464e; --accent: #7cc4f0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem; color: var(--text); background: var(--page);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
"""
