import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import fake_runs
import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from softlookup.analysis.load import Alignment, by_length, curves, read
from softlookup.analysis.measures import title
from softlookup.dashboard import charts, heatmap_figure, static_figure
from softlookup.dashboard.page import payload, render, write
from softlookup.dashboard.static_figure import readme_picture
from softlookup.dashboard.style import literal, styles
from softlookup.errors import UserError
from softlookup.heatmaps import html

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def rows(tmp_path):
    return read(fake_runs.make(tmp_path))


@pytest.fixture
def style_by_variant(rows):
    return styles(rows)["bottleneck"]


def _of(figure, variant, kind):
    return [trace for trace in figure.data if trace.meta == {"variant": variant, "kind": kind}]


def _cells(frame, task="reverse"):
    return frame[frame["task"] == task]


def test_styles_are_distinct_within_an_experiment_and_shared_between_experiments(tmp_path):
    fake_runs.make(tmp_path, "one", variants=("fixed_mean", "additive", "dot"))
    fake_runs.make(tmp_path, "two", variants=("additive", "dot", "cosine", "general"))
    found = styles(read(tmp_path))
    assert found["one"]["additive"] == found["two"]["additive"]
    assert found["one"]["dot"] == found["two"]["dot"]
    for style_by_variant in found.values():
        assert len({(style.color, style.symbol) for style in style_by_variant.values()}) == len(style_by_variant)
    assert [name for name, style in found["one"].items() if style.fixed] == ["fixed_mean"]
    assert found["one"]["fixed_mean"].line["dash"] == "dash"
    assert found["one"]["additive"].line["dash"] == "solid"


def test_styles_repeat_only_after_all_are_used(tmp_path):
    fake_runs.make(tmp_path, tasks=("copy",), variants=tuple(f"v{i:02}" for i in range(60)), seeds=2)
    used_styles = [(style.color, style.symbol) for style in styles(read(tmp_path))["bottleneck"].values()]
    assert [used_styles.count(look) for look in used_styles[:28]] == [3] * 4 + [2] * 24


def test_a_page_of_many_seeds_has_the_maps_of_the_first_three_and_a_note(tmp_path):
    note = "The first 3 seeds of each variant"
    written = render(read(fake_runs.make(tmp_path / "few", tasks=("copy",), variants=("additive", "dot"))))
    assert note not in written
    written = render(read(fake_runs.make(tmp_path / "many", tasks=("copy",), variants=("additive", "dot"), seeds=5)))
    assert note in written
    assert [written.count(f'"additive, seed {seed}"') for seed in range(1, 6)] == [1, 1, 1, 0, 0]


def test_names_are_escaped():
    assert literal("<b>a</b> & %{x}") == "&lt;b&gt;a&lt;/b&gt; &amp; %&#123;x}"
    assert literal("ab\ncd " * 20, 7) == "ab cd …"
    assert title("test/forced/token_accuracy") == "token accuracy (teacher forcing)"


def test_quality_by_length_draws_mean_band_and_every_seed(rows, style_by_variant):
    figure = go.Figure(charts.quality_by_length(_cells(by_length(rows)), "token_accuracy", style_by_variant))
    (mean,), (band,), (seeds,) = (_of(figure, "additive", kind) for kind in ("mean", "band", "seed"))
    assert list(mean.x) == [5, 10, 15, 20, 30, 40]
    assert mean.y[-1] == pytest.approx(fake_runs.accuracy(1, 2, 40))
    assert band.y[0] == pytest.approx(fake_runs.accuracy(1, 3, 5))
    assert band.y[-1] == pytest.approx(fake_runs.accuracy(1, 1, 5))
    assert np.isnan(seeds.x).sum() == np.isnan(seeds.y).sum() == 3
    assert [shape.x0 for shape in figure.layout.shapes] == [fake_runs.LONGEST]


def test_a_measure_that_a_variant_lacks_is_labelled_absent(rows, style_by_variant):
    figure = go.Figure(charts.quality_by_length(_cells(by_length(rows)), "alignment_accuracy", style_by_variant))
    assert not _of(figure, "fixed_mean", "mean")
    assert "absent, not 0: fixed_mean" in [note.text for note in figure.layout.annotations]


def test_a_measure_that_no_run_has_draws_no_line(rows, style_by_variant):
    assert not charts.quality_by_length(_cells(by_length(rows)), "bleu_lowercased", style_by_variant)["data"]


def test_fixed_contexts_are_in_a_separate_strip_of_the_alignment_chart(rows, style_by_variant):
    figure = go.Figure(charts.alignment_beside_quality(_cells(rows), style_by_variant))
    (fixed,), (attends,) = (_of(figure, name, "mean") for name in ("fixed_mean", "additive"))
    assert fixed.yaxis == "y2"
    assert "alignment accuracy (teacher forcing) absent" in fixed.hovertemplate
    assert attends.yaxis == "y"
    assert (attends.x[0], attends.y[0]) == pytest.approx((0.61, 0.32))


def test_the_cost_chart_has_the_pareto_front_of_the_means(rows, style_by_variant):
    figure = go.Figure(charts.quality_by_cost(_cells(rows), style_by_variant, "cost/peak_bytes"))
    (line,) = (trace for trace in figure.data if trace.meta == {"kind": "front"})
    assert list(line.x) == pytest.approx([2, 4, 6, 6])
    assert list(line.y) == pytest.approx([0.52, 0.61, 0.705, 0.705])


def test_learning_curves_have_panels_for_loss_and_length(rows, style_by_variant):
    figure = go.Figure(charts.learning_curves(_cells(curves(rows)), style_by_variant))
    accuracy, loss = _of(figure, "additive", "mean")
    assert (accuracy.yaxis, loss.yaxis) == ("y", "y2")
    assert accuracy.x[-1] == 640_000
    (length,) = (trace for trace in figure.data if trace.meta == {"variant": "additive"})
    assert (length.yaxis, length.line.shape) == ("y3", "hv")


def test_the_heat_map_has_the_right_orientation_with_gold_outlined():
    gold = np.array([[False, True, False], [True, False, False]])
    weights = np.array([[0.1, 0.7, 0.2], [1.0, 0.0, 0.0]], dtype=np.float32)
    drawn = heatmap_figure.heat_map(Alignment(weights, gold, ["a", "<b>", "a"], ["x", "y"], ["x", "y"]))
    figure = go.Figure(drawn)
    assert (drawn["data"][0]["z"].tolist(), drawn["data"][0]["z"].dtype) == ([[10, 70, 20], [100, 0, 0]], np.uint8)
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.xaxis.ticktext == ("a", "&lt;b&gt;", "a")
    first, second = ((trace[:5], trace[6:11]) for trace in (figure.data[1].x, figure.data[1].y))
    assert [(min(x), max(x)) for x in first] == [pytest.approx((0.54, 1.46)), pytest.approx((-0.46, 0.46))]
    assert [(min(y), max(y)) for y in second] == [pytest.approx((-0.46, 0.46)), pytest.approx((0.54, 1.46))]
    assert [int(np.isnan(trace).sum()) for trace in (figure.data[1].x, figure.data[1].y)] == [2, 2]


def test_the_picture_is_written(rows, tmp_path):
    path = readme_picture(rows, "bottleneck", tmp_path / "lengths.png")
    with Image.open(path) as image:
        assert image.width > image.height > 400
    with pytest.raises(UserError, match="token_accuracy"):
        readme_picture(rows, "bottleneck", path, "token_acuracy")
    with pytest.raises(UserError, match="bottleneck"):
        readme_picture(rows, "botleneck", path)


def test_the_page_forbids_all_requests(rows):
    for page in (render(rows), html.render([])):
        policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)[1].split("; ")
        assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy)


def test_a_page_without_a_finished_run_is_written(tmp_path):
    folder = fake_runs.make(tmp_path) / "bottleneck"
    for result in folder.glob("*/result.json"):
        result.unlink()
    assert "result.json is absent or cannot be read" in write(tmp_path, tmp_path / "dashboard.html").read_text()


def test_the_command_prints_the_path_and_reports_mistakes_without_a_traceback(tmp_path):
    fake_runs.make(tmp_path)
    command = [sys.executable, str(Path(__file__).parents[1] / "src" / "dashboard.py")]
    done = subprocess.run([*command, f"runs_dir={tmp_path}"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "dashboard.html"
    wrong = subprocess.run([*command, "run_dir=x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "error: 'run_dir=x': expected KEY=VALUE; did you mean runs_dir?\n"


@contextmanager
def opened(path):
    """Open a dashboard in a browser; fail on a console message, an error, markup, a foreign request or a new window."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH")
    playwright = pytest.importorskip("playwright.sync_api")
    seen = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        shown.on("console", lambda message: seen.append(message.text))
        shown.on("pageerror", lambda error: seen.append(str(error)))
        shown.context.on("request", lambda request: seen.append(request.url))
        shown.context.on("page", lambda window: seen.append(f"window {window.url}"))
        shown.goto(path.as_uri())
        shown.wait_for_selector("#curves .main-svg")
        yield shown
        assert shown.evaluate("window.hacked") is None
        assert shown.locator("b, i, img, script:not([nonce]):not([type])").count() == 0
        browser.close()
    assert [what for what in seen if not what.startswith("blob:null/")] == [path.as_uri()]  # its embedded pictures


@pytest.fixture
def page(tmp_path):
    with opened(write(fake_runs.make(tmp_path), tmp_path / "dashboard.html")) as shown:
        yield shown


def _drawn(page, part):
    return page.evaluate(f"document.getElementById('{part}').data.filter((t) => t.visible).map((t) => t.meta)")


def test_the_page_in_a_browser(page):
    assert page.locator("#counts td").all_inner_texts() == ["bottleneck", "18", "16", "1", "0", "1"]
    assert page.evaluate("document.body.scrollWidth") == 1280

    rows = page.locator("#runs tbody tr:visible")
    assert rows.count() == 18
    assert fake_runs.SCRIPT in rows.first.inner_text()
    page.fill("#filter", "additive reverse")
    assert (rows.count(), page.inner_text("#shown")) == (3, "3 of 18 shown")
    page.click("#runs th:has-text('seed') button")
    page.click("#runs th:has-text('seed') button")
    assert [row.split("\t")[4] for row in rows.all_inner_texts()] == ["3", "2", "1"]

    assert not any(meta["kind"] == "seed" for meta in _drawn(page, "length"))
    page.check("#seeds")
    assert sum(meta["kind"] == "seed" for meta in _drawn(page, "length")) == 3
    page.click(".chip:has-text('additive')")
    assert {meta["variant"] for meta in _drawn(page, "length")} == {"fixed_mean", fake_runs.SCRIPT}
    assert f"● {fake_runs.SCRIPT} (n = 2 of 3)" in page.locator(".chip").all_inner_texts()

    ticks = page.locator("#map-0 .xaxislayer-above text").all_text_contents()
    assert ticks[0] == "<b>die</b>"
    assert ticks[3].startswith("%{x} <b>bold</b>")

    page.select_option("#task", label=fake_runs.TASKS[1])
    assert page.inner_text("#summary tbody tr:first-child td:first-child") == "fixed_mean"
    page.select_option("#length-choice", label="BLEU lowercased")
    assert page.text_content("#length .ytitle") == "BLEU lowercased"


def _use(control):
    """Use a control: choose each option, type into it, or click it."""
    kind = control.evaluate("(c) => c.localName === 'input' ? c.type : c.localName")
    if kind == "select":
        for option in range(len(control.query_selector_all("option"))):
            control.select_option(index=option)
    elif kind == "search":
        control.fill("copy")
    else:
        control.click(timeout=5000)


CONTROLS = "button, select, input, textarea, summary, a, area, .modebar-btn, [onclick], [role=button], [tabindex]"


def test_no_control_leaves_the_page(tmp_path):
    """Every control is used once, including controls that appear after the use of another."""
    made = fake_runs.make(tmp_path, tasks=fake_runs.TASKS[:1], seeds=2)
    fake_runs.set_timing(made / "bottleneck", dict.fromkeys(read(made)["variant_key"], 0.011))
    with opened(write(made, tmp_path / "dashboard.html")) as shown:
        downloads, used = [], []
        shown.on("download", lambda file: downloads.append(file.suggested_filename))
        shown.evaluate(f"""() => {{ const seen = new Set(); let queue = []; window.next = () => {{
            const fresh = [...document.querySelectorAll("{CONTROLS}")].filter((c) => !seen.has(c));
            fresh.forEach((c) => seen.add(c));
            queue = [...fresh, ...queue].filter((c) => c.checkVisibility());
            return queue.shift(); }}; }}""")
        while control := shown.evaluate_handle("window.next()").as_element():
            used.append(control.evaluate("(c) => c.dataset.title ?? c.localName"))
            _use(control)
            assert len(shown.context.pages) == 1, f"{used[-1]} opened a window"
        assert shown.locator("a[href], form, iframe, object, embed").count() == 0
        plots = shown.locator(".js-plotly-plot").count()
        assert plots == 7
        assert used.count("Download plot as a PNG") == used.count("Zoom") == used.count("Reset axes") == plots
        assert len(downloads) == plots
        assert {"select", "input", "button"} <= set(used)


def _overridden(runs_dir):
    """Add a tag whose name and value are markup to every planned cell of the folder."""
    (plan,) = runs_dir.glob("*/plan.json")
    content = json.loads(plan.read_text())
    tagged = "x." + fake_runs.IMAGE
    cells = [
        fake_runs.planned(
            cell["id"],
            cell["choices"] | {tagged: fake_runs.SCRIPT if cell["seed"] == 1 else fake_runs.IMAGE},
            cell["seed"],
        )
        for cell in content["planned"]
    ]
    fake_runs.write_plan(plan.parent, cells)


def test_names_that_are_scripts_are_shown_as_text_in_a_browser(tmp_path):
    """Scripts as names of an experiment's folder, a task, a variant and a tag, as a reason, and as words."""
    script, image = fake_runs.SCRIPT, fake_runs.IMAGE
    _overridden(fake_runs.make(tmp_path, image, tasks=(script, image), variants=("fixed_mean", image, script)))
    with opened(write(tmp_path, tmp_path / "dashboard.html")) as shown:
        assert shown.locator("#counts td").first.inner_text() == image
        assert shown.locator("#experiment option").all_inner_texts() == [image]
        assert shown.locator("#task option").all_inner_texts() == [script, image]
        variants = set(shown.locator(".chip .name").all_inner_texts())
        assert f"{script} · x.{image}={script}" in variants
        cells = shown.locator("#runs tbody tr").first.locator("td").all_inner_texts()
        assert cells[:4] == ["failed", f"ValueError: {script}", script, f"{script} · x.{image}={script}"]
        words = shown.locator("#map-0 .xaxislayer-above text").all_text_contents()
        assert words[1:3] == [f"{word[:17]}…" for word in (script, image)]
        assert script in shown.locator("select.run + p").first.inner_text()
        for task in (script, image):
            shown.select_option("#task", label=task)
            shown.check("#seeds")
        shown.evaluate("Plotly.Fx.hover('length', [{curveNumber: 2, pointNumber: 1}])")
        shown.wait_for_selector("#length .hoverlayer text")
        assert "<img src=x" in shown.locator("#length .hoverlayer").text_content()


def test_lengths_are_labelled_with_their_unit(tmp_path, monkeypatch):
    runs_dir = fake_runs.make(tmp_path)
    for path in runs_dir.glob("bottleneck/*grammar*/result.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"length_unit": "words"}))
    rows = read(runs_dir)
    buckets, style_by_variant = by_length(rows), styles(rows)["bottleneck"]
    drawn = [
        charts.quality_by_length(_cells(buckets, task), "token_accuracy", style_by_variant) for task in fake_runs.TASKS
    ]
    assert [figure["layout"]["xaxis"]["title"]["text"] for figure in drawn] == [
        "source length (tokens)", "source length (words)",
    ]  # fmt: skip
    saved = []
    monkeypatch.setattr(static_figure.atomic_files, "write", lambda *_: None)
    monkeypatch.setattr(static_figure.Figure, "savefig", lambda self, *_, **__: saved.append(self))
    readme_picture(rows, "bottleneck", tmp_path / "a.png")
    assert {axes.get_title(loc="left"): axes.get_xlabel() for axes in saved[0].axes} == {
        "reverse": "source length (tokens)", fake_runs.TASKS[1]: "source length (words)",
    }  # fmt: skip


def test_teacher_forcing_comes_first_and_free_decoding_states_its_positions(rows):
    (experiment,) = payload(rows)["experiments"]
    assert [choice["name"] for choice in experiment["tasks"][0]["alignment"]] == [
        "teacher forcing", "free decoding, up to the first difference",
    ]  # fmt: skip
    assert title("test/alignment_accuracy") == "alignment accuracy (free decoding, up to the first difference)"
    assert title("forced/alignment_accuracy") == "alignment accuracy (teacher forcing)"
