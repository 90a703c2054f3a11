"""Pages with heat maps in a browser: one start of Chromium for all tests of this file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_runs
import numpy as np
import pytest

from softlookup.analysis.load import read
from softlookup.dashboard import run_page, serve
from softlookup.heatmaps import html

SCRIPT = fake_runs.SCRIPT


@contextmanager
def opened(browser: Any, address: str, *allowed: str, **options: Any) -> Iterator[Any]:
    """Open a page; fail on a console message, an error, a request that is not allowed, or a script of its data that
    ran."""
    seen: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 390, "height": 844}, **options})
    shown = context.new_page()
    shown.on("console", lambda message: seen.append(message.text))
    shown.on("pageerror", lambda error: seen.append(str(error)))
    context.on("request", lambda request: seen.append(request.url))
    shown.goto(address)
    yield shown
    assert shown.evaluate("window.hacked") is None
    context.close()
    assert {one.partition("#")[0] for one in seen} == {address.partition("#")[0], *allowed}


def test_a_heat_map_has_target_rows_source_columns_and_text_for_each_cell(browser: Any, tmp_path: Path) -> None:
    weights, gold = np.zeros((3, 5)), np.zeros((3, 5), dtype=bool)
    weights[1, 2], weights[2, 0], weights[0, 3], gold[1, 4] = 0.1234, 1.0, np.nan, True
    drawn = SimpleNamespace(
        weights=weights, gold=gold, source=["ich", "habe", "<b>es</b>", SCRIPT, "</s>"], target=["I", "saw", "</s>"]
    )
    wide = SimpleNamespace(
        weights=np.full((2, 90), 0.5), gold=np.zeros((2, 90), dtype=bool), source=["w"] * 90, target=["a", "b"]
    )
    path = tmp_path / "map.html"
    path.write_text(html.render([(SCRIPT, drawn), ("line 2", wide)]))
    color = "(cell) => getComputedStyle(cell).backgroundColor"
    backgrounds = {}
    for scheme in ("light", "dark"):
        with opened(browser, path.as_uri(), color_scheme=scheme) as page:
            assert page.locator("h2").all_inner_texts() == [SCRIPT, "line 2"]
            assert page.locator("b, td script").count() == 0
            table = page.locator("table").first
            heads = [table.locator(f"th[scope={scope}]").all_text_contents() for scope in ("col", "row")]
            assert heads == [drawn.source, drawn.target]
            cells = table.locator("tbody td")
            titles = [cells.nth(i).get_attribute("title") for i in range(15)]
            assert titles[7] == "saw ← <b>es</b>: 12.3 %"
            assert titles[9] == "saw ← </s>: 0.0 %, gold"
            assert titles[3] == f"I ← {SCRIPT}: absent"
            assert [i for i in range(15) if "gold" in (cells.nth(i).get_attribute("class") or "")] == [9]
            shades = [cells.nth(i).evaluate(color) for i in (0, 7, 10)]
            assert len(set(shades)) == 3
            backgrounds[scheme] = shades
            assert page.evaluate("document.documentElement.scrollWidth") == 390  # the wide map scrolls inside
            region = page.get_by_role("region").last
            assert region.evaluate("(r) => r.scrollWidth > r.clientWidth && r.tabIndex === 0")
    assert not set(backgrounds["light"]) & set(backgrounds["dark"])


def test_the_page_of_a_run_in_a_browser(browser: Any, tmp_path: Path) -> None:
    folder = fake_runs.make(tmp_path, tasks=("reverse",)) / "bottleneck"
    run = folder / f"{SCRIPT}-reverse-s2".replace("/", "_")
    words, heads = np.array(["a", SCRIPT, "c"]), np.zeros((2, 4, 3, 3), dtype=np.float32)
    arrays = {f"{name}_{i}": words for name in ("source", "target", "reference") for i in range(2)}
    arrays |= {f"weights_{i}": np.eye(3) for i in range(2)} | {f"gold_{i}": np.eye(3, dtype=bool) for i in range(2)}
    heads[1, 3, 2] = 0.25
    np.savez_compressed(run / "alignments.npz", **arrays, lookups_1=heads, encoder_1=heads)
    (run / "a b%.txt").write_text("")
    (run / "log.txt").write_text(f"{SCRIPT}\n")
    run_page.write_missing(read(tmp_path))
    with opened(browser, (run / "run.html").as_uri()) as page:
        assert page.inner_text("h1") == run.name
        assert SCRIPT in page.inner_text("#sentence")
        assert page.inner_text("#log pre") == SCRIPT
        labels = [one.get_attribute("aria-label") for one in page.locator("svg").all()]
        assert [label.split(":")[0] for label in labels[:2]] == [
            "validation loss (nats) by target tokens",
            "validation loss (nats) by seconds",
        ]
        assert page.locator("svg").first.locator("circle").count() == 11  # validations of the fake run
        assert "10" in page.inner_text("tr:has(td:text-is('trained')) th >> nth=-1")
        page.select_option("#example", index=1)
        offered = page.locator("#weights option").all_inner_texts()
        assert offered[1:] == [
            f"{what}, layer {layer}"
            for what in ("output reads the source", "the encoder reads its own positions")
            for layer in (1, 2)
        ]
        page.select_option("#weights", label=offered[4])
        page.reload()  # the address holds what was chosen
        assert page.locator("caption").all_inner_texts() == [f"layer 2, head {head}" for head in (1, 2, 3, 4)]
        assert page.locator("table:has-text('head 4') td").last.get_attribute("title") == "c ← c: 25.0 %"
        page.check("#differing")
        assert page.locator("#settings tbody tr:not(.differs)").count() == 0
        hrefs = [link.get_attribute("href") for link in page.locator("#files a").all()]
        assert "./a%20b%25.txt" in hrefs
        assert page.get_attribute("header a", "href") == "../../dashboard.html"
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    failed = folder / f"{SCRIPT}-reverse-s1".replace("/", "_") / "run.html"
    with opened(browser, failed.as_uri()) as page:
        assert page.inner_text("#reason") == f"ValueError: {SCRIPT}"
        assert [page.locator(part).is_visible() for part in ("#curves", "#alignments", "#origin")] == [False] * 3


def test_a_served_page_reloads_itself_and_keeps_its_address(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "bottleneck" / "run" / "state.json"

    def write(_: Path, path: Path) -> None:
        path.write_text(html.document("t", "<main></main>", [state.read_text()], "document.body.append(...DATA);"))

    monkeypatch.setattr(serve.page, "write", write)
    state.parent.mkdir(parents=True)
    state.write_text("running")
    with serve.Server(serve.Dashboard(tmp_path, tmp_path / "dashboard.html", rest=0), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/"
            with opened(browser, f"{address}#task=copy", f"{address}version") as page:
                with page.expect_event("load"):
                    state.write_text("finished")
                assert page.url == f"{address}#task=copy"
                assert page.inner_text("body").endswith("finished")
        finally:
            server.shutdown()
            thread.join()
