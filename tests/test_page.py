"""The dashboard in a browser, started once: controls, figures, files, keyboard, contrast, and that nothing is sent."""

import csv
import json
import re
from contextlib import contextmanager

import fake_runs
import numpy as np
import pytest

from softlookup.analysis.effects import primary
from softlookup.analysis.inference import (
    bootstrap_interval,
    interquartile_mean,
    performance_profile,
    sign_flip,
    t_interval,
)
from softlookup.analysis.load import read
from softlookup.analysis.spans import spans
from softlookup.dashboard.page import write

SCRIPT, IMAGE = fake_runs.SCRIPT, fake_runs.IMAGE
CHOICES = ("task", "measure", "span", "reference", "facet", "color", "x", "y", "time", "first", "second", "example")


@contextmanager
def opened(browser, path, address="", **options):
    """Open a dashboard; fail on a console message, an error, markup, a foreign request or a new window."""
    seen = []
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
    shown = context.new_page()
    shown.on("console", lambda message: seen.append(message.text))
    shown.on("pageerror", lambda error: seen.append(str(error)))
    context.on("request", lambda request: seen.append(request.url))
    shown.goto(path.as_uri() + address)
    shown.wait_for_selector("#effects-0 .main-svg")
    yield shown
    assert shown.evaluate("window.hacked") is None
    assert shown.locator("b, i, img, form, iframe, object, embed, script:not([nonce]):not([type])").count() == 0
    assert len(context.pages) == 1
    context.close()
    assert {url for url in seen if not url.startswith("blob:null/")} <= {path.as_uri() + address, path.as_uri()}


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """Two tasks, one in words; five variants with four seeds and timed steps, one of them with another optimizer."""
    folder = fake_runs.make(
        tmp_path_factory.mktemp("runs"), variants=("fixed_mean", "fixed_max", "additive", SCRIPT, "dot"), seeds=4
    )
    plan = json.loads((folder / "bottleneck" / "plan.json").read_text())
    for cell in plan["planned"]:
        if cell["choices"]["attention"] == "dot":
            cell["settings"]["optimizer.rate"] = 0.5
            cell["variant_key"] = fake_runs.key_of(cell["settings"])
    fake_runs.write_plan(folder / "bottleneck", plan["planned"])
    for cell in plan["planned"]:
        path = folder / "bottleneck" / cell["id"] / "result.json"
        if path.exists():
            row = json.loads(path.read_text()) | cell
            row["by_length"] = [_noisy(bucket, cell["seed"]) for bucket in row["by_length"]]
            row["length_unit"] = "words" if "grammar" in cell["id"] else "tokens"
            path.write_text(json.dumps(row))
    rows = read(folder)
    medians = dict(zip(sorted(set(rows["variant_key"])), (0.010, 0.011, 0.012, 0.013, 0.014), strict=False))
    fake_runs.set_timing(folder / "bottleneck", medians)
    return folder


def _noisy(bucket, seed):
    noise = np.random.default_rng([seed, int(1000 * bucket["token_accuracy"])]).normal(0, 0.02)
    return bucket | {"token_accuracy": bucket["token_accuracy"] + noise}


@pytest.fixture(scope="module")
def path(runs_dir):
    return write(runs_dir, runs_dir / "dashboard.html")


def _table(page, button):
    with page.expect_download() as download:
        page.click(button)
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    return download.value.suggested_filename, list(csv.DictReader(lines))


def test_the_first_screen_answers_and_every_control_changes_the_address_and_the_panels(browser, path):
    for width, height in ((1400, 900), (390, 844)):
        with opened(browser, path, viewport={"width": width, "height": height}) as page:
            assert page.evaluate("document.body.scrollWidth") == width
            assert "buys +" in page.locator(".answers p").first.inner_text()
            assert page.locator(".answers .sub").first.inner_text().startswith("Runs: ")
            answers = page.locator(".answers").all()
            assert len(answers) > 1
            assert all(one.bounding_box()["y"] + one.bounding_box()["height"] < height for one in answers)
            for panel in ("effects", "lengths", "costs") if width == 1400 else ("effects",):
                assert page.locator(f"#{panel}-0 .plot").bounding_box()["y"] < height
    with opened(browser, path) as page:
        titles = "() => [...document.querySelectorAll('h2, h3, .sub, #runs th')].map((e) => e.textContent).join('|')"
        drawn = "() => cells.map(({ view, panel }) => JSON.stringify([panel.table(view), panel.title(view)])).join('|')"
        state = f"() => [location.hash, {titles[6:]}, ({drawn})(), $('compare-body').textContent].join()"
        for name in CHOICES:
            before, options = page.evaluate(state), page.locator(f"#{name} option")
            page.select_option(f"#{name}", index=options.count() - 1)
            page.wait_for_timeout(60)
            after = page.evaluate(state)
            assert after != before, name
            assert f"{name}=" in page.evaluate("location.hash")
            page.go_back()
            page.wait_for_timeout(60)
            assert page.evaluate(state) == before, name
        page.fill("#words", "seed=1")
        assert page.inner_text("#shown") == "10 of 40 runs"
        assert "filtered" in page.inner_text("#filtered")
        assert page.evaluate("cells[0].view.runs.length") == 4
        page.fill("#words", "")
        page.check("#seeds")
        page.click(".chip:has-text('additive')")
        page.select_option("#theme", "dark")
        page.click("#runs th:has-text('seed') button")
        page.wait_for_timeout(60)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        kinds = page.evaluate("$('lengths-0').querySelector('.plot').data.map(({ meta }) => [meta.variant, meta.kind])")
        assert "seed" in {kind for _, kind in kinds}
        assert "additive" not in {variant for variant, _ in kinds}
        address, content = page.evaluate("location.hash"), page.evaluate(state)
    with opened(browser, path, address) as again:
        assert again.evaluate(state) == content
        again.click("#effects-0 button:has-text('table')")
        assert again.locator("#effects-0-numbers tbody tr").count() == 2  # additive is hidden, dot is not comparable
        again.click("#none")
        again.wait_for_function("cells.every(({ cell }) => cell.hidden)")
        assert again.locator(".answers p").first.inner_text() == "No run that is shown matches."
        again.click("#every")
        again.click("#reset")
        again.wait_for_function("location.hash === '#theme=dark'")


def test_gains_intervals_and_p_values_are_those_of_the_analysis(browser, path, runs_dir):
    generator = np.random.default_rng(3)
    cases = [generator.normal(0.1, 1, n).round(2).tolist() for n in (1, 2, 3, 4)] + [[0.5, 0.5, -0.5, 0.5]]
    rows = read(runs_dir)
    values = spans(rows)
    with opened(browser, path) as page:
        assert page.evaluate("Object.keys(DATA.resamples)") == ["4"]
        for case in cases:
            found = page.evaluate("(d) => ({ ...interval(d), p: signFlip(d) })", case)
            assert (found["low"], found["high"]) == pytest.approx(t_interval(case), nan_ok=True)
            assert found["p"] == pytest.approx(sign_flip(case)[0])
            both = page.evaluate("(d) => Object.values(bootstrap(d))", case)
            assert both == pytest.approx(bootstrap_interval(case), nan_ok=True)
            assert page.evaluate("(d) => interquartileMean(d)", case) == pytest.approx(interquartile_mean(case))
        assert page.evaluate("signFlip(Array(17).fill(1))") is None
        smallest = [2 / 2**n for n in range(2, 9)]
        assert page.evaluate("(ps) => ps.map(pText)", smallest) == [f"{p:.2g}" for p in smallest]
        # Costs and qualities with ties: no mean that the front leaves out is on it by the definition.
        xs, ys = [1.0, 2.0, 2.0, 3.0, 4.0], [0.5, 0.7, 0.6, 0.7, 0.9]
        assert page.evaluate("([xs, ys]) => paretoFront(xs, ys)", [xs, ys]) == [0, 1, 4]

        name, table = _table(page, "#effects-0 button:has-text('CSV')")
        assert name == "bottleneck-reverse-token_accuracy-gain-at-20.csv"
        shipped = primary(rows).set_index(["task", "variant"])
        assert {line["kind"] for line in table} == {"primary", "exploratory, not corrected"}
        for line in (line for line in table if line["kind"] == "primary"):
            row = shipped.loc[("reverse", line["variant"])]
            assert (line["reference"], int(line["pairs"])) == (row["reference"], row["pairs"])
            for key in ("difference", "low", "high", "bootstrap_low", "bootstrap_high", "p", "p_holm"):
                assert float(line[key]) == pytest.approx(row[key])

        name, profile = _table(page, "#profiles-0 button:has-text('CSV')")
        assert name == "bottleneck-reverse-token_accuracy-profile-20.csv"
        for variant in {line["variant"] for line in profile}:
            mine = [line for line in profile if line["variant"] == variant]
            above = [float(line["token_accuracy above"]) for line in mine]
            assert [float(line["share of runs"]) for line in mine] == pytest.approx(performance_profile(above, above))

        page.click(".chip:has-text('fixed_max')")  # a hidden reference is still compared with
        page.wait_for_timeout(100)
        assert [line for line in table if line["variant"] != "fixed_max"] == _table(
            page, "#effects-0 button:has-text('CSV')"
        )[1]
        page.select_option("#reference", "additive")
        page.select_option("#span", "40")
        page.wait_for_timeout(100)
        _, table = _table(page, "#effects-0 button:has-text('CSV')")
        here = values[
            (values["task"] == "reverse") & (values["measure"] == "token_accuracy") & (values["span"] == "40")
        ]
        by_seed = here.pivot_table(index="seed", columns="variant", values="value")
        assert {line["variant"] for line in table} == {"fixed_mean", SCRIPT}
        for line in table:
            differences = (by_seed[line["variant"]] - by_seed["additive"]).dropna().tolist()
            found = [float(line[key]) for key in ("difference", "low", "high", "p")]
            assert found == pytest.approx([np.mean(differences), *t_interval(differences), sign_flip(differences)[0]])
        assert "dot (additive differs in optimizer.rate)" in page.inner_text("#effects-0 .sub").replace(
            "· optimizer.rate=0.5 ", ""
        )


def test_files_have_what_is_shown_and_names_that_say_it(browser, path, runs_dir):
    rows = read(runs_dir)
    with opened(browser, path) as page:
        page.wait_for_selector("#costs-0 .main-svg")
        assert page.evaluate(
            "cells.some(({ dirty }) => dirty)"
        )  # plots far below are drawn when they come near, or for a print
        page.pdf()
        assert page.evaluate("cells.every(({ plot }) => plot.querySelector('.main-svg, .empty'))")
        name, table = _table(page, "#lengths-0 button:has-text('CSV')")
        assert name == "bottleneck-reverse-token_accuracy-by-length.csv"
        expected = spans(rows)
        expected = expected[(expected["task"] == "reverse") & (expected["measure"] == "token_accuracy")]
        expected = expected[expected["low"].notna()]
        written = {(line["variant"], int(line["seed"]), float(line["low"])): float(line["value"]) for line in table}
        assert written == {(r.variant, r.seed, r.low): r.value for r in expected.itertuples()}
        _, table = _table(page, "#costs-0 button:has-text('CSV')")
        means = rows[rows["counted"] & (rows["task"] == "reverse")].groupby("variant")["cost/peak_bytes"].mean()
        least = means[["fixed_mean", "fixed_max"]].min()
        ratios = {line["variant"]: float(line["ratio"]) for line in table if line["cost"] == "cost/peak_bytes"}
        assert ratios == pytest.approx((means / least).to_dict())
        page.locator("#curves-0").scroll_into_view_if_needed()
        page.wait_for_selector("#curves-0 .main-svg")
        _, table = _table(page, "#curves-0 button:has-text('CSV')")
        assert (table[1]["tokens"], table[1]["seconds"]) == ("64000", "2")
        name, table = _table(page, "#runs-csv")
        assert (name, len(table)) == ("bottleneck-runs.csv", 40)
        for form, start in (("svg", b"<svg"), ("png", b"\x89PNG")):
            with page.expect_download() as download:
                page.click(f"#lengths-0 button:has-text('{form.upper()}')")
            assert download.value.suggested_filename == f"bottleneck-reverse-token_accuracy-by-length.{form}"
            with open(download.value.path(), "rb") as file:
                assert file.read(4) == start[:4]


# The contrast of each text with the background behind it, by WCAG 2; only what is below 4.5.
FAINT = r"""() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (color) => { const [r, g, b] = rgb(color).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const color = getComputedStyle(e).backgroundColor;
    if (rgb(color)[3] === 255) return color; } return 'white'; };
  return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('[aria-hidden=true]')
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).flatMap((e) => {
    const style = getComputedStyle(e), text = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(text), light(behind(e instanceof SVGElement ? e.closest('.plot') : e))].sort();
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return ratio < 4.5 ? [[e.tagName, e.textContent.slice(0, 30), ratio]] : []; }); }"""


def test_text_has_contrast_controls_have_names_and_the_keyboard_reaches_all(browser, path):
    for scheme in ("light", "dark"):
        with opened(browser, path, color_scheme=scheme) as page:
            page.wait_for_selector("#costs-0 .main-svg")
            assert page.evaluate(FAINT) == []
    with opened(browser, path) as page:
        controls = page.evaluate("""() => {
            const all = [...document.querySelectorAll('button, select, input, a[href], [tabindex="0"]')];
            return all.filter((e) => e.checkVisibility() && !e.disabled).map((e, place) => { e.dataset.place = place;
                return (e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent).trim(); }); }""")
        assert all(controls)
        reached = []
        for _ in range(len(controls)):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("Number(document.activeElement.dataset.place)"))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert reached == [*range(len(controls))]
        plots = page.locator(".plot[role=img]")
        assert all(plots.nth(place).get_attribute("aria-label") for place in range(3))
        assert page.locator("[aria-live=polite]").inner_text().startswith("bottleneck: reverse, token accuracy")


def test_names_that_are_scripts_are_shown_as_text(browser, tmp_path):
    """Scripts as names of an experiment's folder, a task, a variant and a setting, as a reason, and as words."""
    fake_runs.make(tmp_path, IMAGE, tasks=(SCRIPT, IMAGE), variants=("fixed_mean", IMAGE, SCRIPT))
    (plan,) = tmp_path.glob("*/plan.json")
    cells = [
        fake_runs.planned(
            cell["id"], cell["choices"] | {f"x.{IMAGE}": SCRIPT if cell["seed"] == 1 else IMAGE}, cell["seed"]
        )
        for cell in json.loads(plan.read_text())["planned"]
    ]
    fake_runs.write_plan(plan.parent, cells)
    with opened(browser, write(tmp_path, tmp_path / "dashboard.html")) as page:
        assert page.locator("#counts td").first.inner_text() == IMAGE
        assert page.locator("#experiment option").all_inner_texts() == [IMAGE]
        assert page.locator("#task option").all_inner_texts() == ["all tasks", SCRIPT, IMAGE]
        assert f"{SCRIPT} · x.{IMAGE}={SCRIPT}" in page.locator(".chip .name").all_inner_texts()
        assert f"ValueError: {SCRIPT}" in page.locator("#runs tbody tr").first.inner_text()
        page.select_option("#facet", index=page.locator("#facet option").count() - 1)
        page.select_option("#second", index=page.locator("#second option").count() - 1)
        page.wait_for_timeout(100)
        assert SCRIPT in page.inner_text("#compare-body")
        page.evaluate("Plotly.Fx.hover($('effects-0').querySelector('.plot'), [{ curveNumber: 0, pointNumber: 0 }])")
        assert re.search(r"<(script|img)", page.locator("#effects-0 .hoverlayer").text_content())


def test_two_runs_differ_in_the_listed_settings_and_show_their_weights(browser, path):
    with opened(browser, path, "#task=reverse&first=dot-reverse-s2&second=additive-reverse-s3") as page:
        listed = page.locator("#compare-body .pair").nth(1).locator("table").first.locator("tbody tr").all_inner_texts()
        assert [line.split("\t") for line in listed] == [
            ["attention", "dot", "additive"], ["optimizer.rate", "0.5", "0.006"], ["seed", "2", "3"],
        ]  # fmt: skip
        cells = page.locator("#map-1 tbody td")
        assert page.locator("#map-1 thead th").all_inner_texts()[0] == "<b>die</b>"
        assert cells.count() == 36
        assert page.locator("#map-1 td.gold").count() == 6
        page.click("#runs tbody tr:has-text('fixed_max-reverse-s1') button:has-text('compare')")
        page.wait_for_timeout(60)
        assert "fixed_max, seed 1" in page.inner_text("#map-0")
        assert "dot" in page.inner_text("#map-1")


def test_runs_link_to_their_page_only_from_the_folder_of_runs(runs_dir, tmp_path):
    inside, outside = (write(runs_dir, where / "linked.html") for where in (runs_dir, tmp_path))
    link = '"./bottleneck/additive-reverse-s1/run.html"'
    assert (link in inside.read_text(), link in outside.read_text()) == (True, False)
