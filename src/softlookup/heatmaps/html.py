"""Write pages with heat maps of attention weights, drawn by heatmap.js. No torch.

A page is one file and makes no request: its data are embedded as JSON and set as text, and its content security policy
allows only the scripts and the style that it contains.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from softlookup.heatmaps.heat_map import HeatMap, shape_of

STYLE = """
  :root { color-scheme: light dark; --ink: light-dark(#222, #e4e4e4); --soft: light-dark(#5f5f5f, #a9a9a9);
    --page: light-dark(#fff, #17191c); --rule: light-dark(#dcdcdc, #3a3d42); --link: light-dark(#005a9c, #8ec5ff);
    --heat-page: var(--page); --heat-caption: var(--soft); }
  * { box-sizing: border-box; }
  body { margin: 0 auto; max-width: 1100px; padding: 20px; font: 15px/1.45 system-ui, sans-serif; color: var(--ink);
    background: var(--page); overflow-wrap: anywhere; }
  h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 34px 0 6px; }
  p { margin: 4px 0 8px; color: var(--soft); max-width: 90ch; }
  a { color: var(--link); }
"""
TRANSLATED = """<h1>Alignments</h1>
<p>The weights of each sentence; point at a cell for its value.</p>
<main id="maps"></main>"""
DRAW = """
document.getElementById("maps").append(...DATA.flatMap(({ title, weights, gold, source, target }) => {
  const heading = document.createElement("h2");
  heading.textContent = title;
  return [heading, heatMap(fromThousandths(weights), gold, source, target)];
}));
"""


def render(heat_maps: Sequence[tuple[str, HeatMap]]) -> str:
    """Return a page of titled heat maps. Raises ValueError when shapes and tokens disagree."""
    drawn = [{"title": title, **payload(heat_map)} for title, heat_map in heat_maps]
    return document("softlookup: alignments", TRANSLATED, drawn, DRAW)


def payload(heat_map: HeatMap) -> dict[str, Any]:
    """Return a heat map as JSON values: weights in thousandths, gold as 0 and 1 (None without any), and the tokens.

    Raises ValueError when shapes and tokens disagree.
    """
    shape_of(heat_map)
    return {
        "weights": thousandths(heat_map.weights),
        "gold": heat_map.gold.astype(int).tolist() if heat_map.gold.any() else None,
        "source": list(heat_map.source),
        "target": list(heat_map.target),
    }


def thousandths(weights: np.ndarray) -> list[Any]:
    """Return weights from 0 to 1 as whole thousandths in nested lists, None for what is not a number."""
    finite = np.isfinite(weights)
    whole = np.rint(1000 * np.clip(np.where(finite, weights, 0.0), 0, 1)).astype(int).astype(object)
    whole[~finite] = None
    return list(whole.tolist())


def document(title: str, body: str, data: Any, script: str, style: str = "") -> str:
    """Return a page: `body` is markup, and `script` draws into it with `DATA`, the decoded `data`, and `heatMap`.

    Text in `data` cannot end its element: it has no "<".
    """
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    nonce = hashlib.sha256(embedded.encode()).hexdigest()
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style nonce="{nonce}">{STYLE}{style}</style>
</head>
<body>
{body}
<noscript><p>This page draws with a script that it contains; its browser has scripts turned off.</p></noscript>
<script type="application/json" id="data">{embedded}</script>
<script nonce="{nonce}">{drawer()}
const DATA = JSON.parse(document.getElementById("data").textContent);
{script}</script>
</body>
</html>
"""


@cache
def drawer() -> str:
    """Return heatmap.js: the function `heatMap(weights, gold, source, target, caption)`, which returns an element."""
    return resources.files("softlookup.heatmaps").joinpath("heatmap.js").read_text(encoding="utf-8")
