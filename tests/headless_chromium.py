"""What a browser makes of our pages: each is opened in frames of given widths by one start of headless Chromium."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import NamedTuple

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_FRAME = '<iframe src="{uri}" style="width:{width}px; height:800px; border:0"></iframe>'
_ASK = """
<pre id="answer"></pre>
<script>
addEventListener("load", () => {
  const views = [...document.querySelectorAll("iframe")].map(({contentWindow: frame}) => ({
    title: frame.document.title,
    inner: frame.innerWidth,
    scroll: frame.document.documentElement.scrollWidth,
    pictures: [...frame.document.images].map(image => image.naturalWidth),
    listed: frame.document.querySelectorAll("li").length,
  }));
  document.getElementById("answer").textContent = JSON.stringify(views);
});
</script>
"""


class View(NamedTuple):
    """A page in a frame: its title, its width and that of what it holds, its pictures' widths, its list's items."""

    title: str
    inner: int
    scroll: int
    pictures: list[int]
    listed: int


def look(folder: Path, pages, widths) -> tuple[list[View], list[str]]:
    """The views, by page and then by width, and what the pages wrote to the console."""
    frames = [_FRAME.format(uri=page.as_uri(), width=width) for page in pages for width in widths]
    wrapper = folder / "frames.html"
    wrapper.write_text("\n".join(["<!DOCTYPE html>", *frames, _ASK]))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=3000", "--enable-logging=stderr", "--v=0"]
    shown = subprocess.run(
        [*command, "--dump-dom", wrapper.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    (answer,) = re.findall(r'<pre id="answer">(.*?)</pre>', shown.stdout, re.DOTALL)
    said = re.findall(r"CONSOLE\S*\] (.*)", shown.stderr)
    return [View(**view) for view in json.loads(unescape(answer))], said
