"""Draw heat maps of attention weights as tables on an HTML page. No torch, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from softlookup.heatmaps.png import HeatMap

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>softlookup: alignments</title>
<style>
  body { font: 15px/1.4 system-ui, sans-serif; color: #222; margin: 24px; }
  h1 { font-size: 20px; } h2 { font-size: 15px; margin: 28px 0 6px; } p { color: #5f5f5f; }
  table { border-collapse: collapse; }
  td { width: 24px; min-width: 24px; height: 24px; padding: 0; border: 1px solid #e8e8e8; }
  td.gold { outline: 2px solid #D55E00; outline-offset: -3px; }
  th { font-weight: 400; white-space: pre; padding: 2px 6px; }
  thead th { vertical-align: bottom; writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
  tbody th { text-align: right; }
</style>
</head>
<body>
<h1>Alignments</h1>
<p>Weight of each source token (across) for each target token (down): white is 0, dark 1; point at a cell for its
value. Gold cells are outlined.</p>
"""


def render(heat_maps: Sequence[tuple[str, HeatMap]]) -> str:
    """Return a page of titled heat maps. Tokens are escaped; the page's content security policy forbids scripts."""
    return HEAD + "".join(_section(title, heat_map) for title, heat_map in heat_maps) + "</body>\n</html>\n"


def _section(title: str, heat_map: HeatMap) -> str:
    head = "".join(f'<th scope="col">{escape(token)}</th>' for token in heat_map.source)
    rows = [
        f'<tr><th scope="row">{escape(token)}</th>'
        + "".join(
            _cell(float(weight), bool(outlined), f"{token} ← {source}")
            for weight, outlined, source in zip(weights, gold, heat_map.source, strict=True)
        )
        + "</tr>\n"
        for token, weights, gold in zip(heat_map.target, heat_map.weights, heat_map.gold, strict=True)
    ]
    top = f"<thead><tr><td></td>{head}</tr></thead>\n"
    return f"<h2>{escape(title)}</h2>\n<table>\n{top}<tbody>\n{''.join(rows)}</tbody>\n</table>\n"


def _cell(weight: float, outlined: bool, pair: str) -> str:
    share = min(max(weight, 0.0), 1.0) if math.isfinite(weight) else 0.0
    red, green, blue = (round(255 + share * (dark - 255)) for dark in (8, 48, 107))
    marked = ' class="gold"' if outlined else ""
    return f'<td{marked} style="background:rgb({red},{green},{blue})" title="{escape(pair)}: {weight:.1%}"></td>'
