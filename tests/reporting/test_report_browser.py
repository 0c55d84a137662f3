"""The page in a real browser: it asks for nothing, its tables sort, it can be read wide, narrow, light and dark."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.reporting.findings import Findings
from pipeline.reporting.page.html_page import render_html
from pipeline.reporting.page.report import Report, Section
from pipeline.reporting.tables.export import write_tables
from pipeline.reporting.tables.table import Table

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
PLACES = (("CALICO_CHROMIUM", "chromium"), ("CALICO_CHROMEDRIVER", "chromedriver"))
CHROMIUM, DRIVER = (os.environ.get(name) or shutil.which(program) for name, program in PLACES)
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver")
MIXED = Table(
    "mixed", "", ["arm", "score", "rate", "difference", "count"],
    [
        ["b", "0.181 ± 0.011 (n=2)", "9/49 = 18 [10, 31]", "+0.008", "1,200"],
        ["a", "0.090 ± 0.300 (n=2)", "17/40 = 42 [29, 58]", "–", "90"],
        ["c", "–", "0/0", "-0.046", "300"],
        ["d", "0.2", "1/50 = 2 [0, 10]", "+0.010", "4"],
    ],
)  # fmt: skip
CONTRAST = """
const parse = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = element => {
  for (let up = element; up; up = up.parentElement) {
    const c = parse(getComputedStyle(up).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || ["SCRIPT", "TITLE", "title"].includes(element.tagName)) continue;
  const inSvg = element.tagName === "text", style = getComputedStyle(element);
  const rect = inSvg && element.parentElement.querySelector("rect");
  const a = light(parse(inSvg ? style.fill : style.color));
  const b = light(rect ? parse(getComputedStyle(rect).fill) : behind(element));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) poor.push([element.tagName, element.className, element.textContent.slice(0, 30), ratio]);
}
return poor;
"""


@pytest.fixture(scope="module")
def page(small: tuple[Findings, Report], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small project, with one table more, and its files beside it."""
    found, report = small
    report = replace(report, sections=[*report.sections, Section("Mixed", tables=[MIXED])])
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(render_html(report), encoding="utf-8")
    write_tables(report.tables(), found.values, folder / "tables")
    return folder / "index.html"


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """One headless Chromium for all tests of this file; it notes what it asks the network for."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options=options, service=Service(str(DRIVER)))
    yield browser
    browser.quit()


@pytest.fixture
def opened(driver: Any, page: Path) -> Any:
    """The page, just loaded, 1280 wide and light."""
    look(driver, 1280)
    driver.get(page.as_uri())
    return driver


def look(driver: Any, width: int, scheme: str = "light") -> None:
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_page_asks_for_nothing_and_complains_of_nothing(driver: Any, page: Path) -> None:
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(page.as_uri())
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    images = driver.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert images and all(images)
    # What does not belong to the page its own policy refuses: images from outside, styles of elements.
    driver.execute_script("const i = new Image(); i.src = 'https://example.org/a.png'; document.body.append(i);")
    driver.execute_script("document.body.setAttribute('style', 'color: red')")
    outside, style = (entry["message"] for entry in driver.get_log("browser"))
    assert "Content Security Policy" in outside and "example.org" in outside
    assert "Content Security Policy" in style and "inline style" in style


@pytest.mark.parametrize(
    ("column", "ascending"),
    [("score", "abdc"), ("rate", "dbac"), ("difference", "cbda"), ("count", "dacb"), ("arm", "abcd")],
)
def test_a_click_sorts_by_number_both_ways_and_leaves_gaps_last(opened: Any, column: str, ascending: str) -> None:
    def order() -> str:
        rows = "return [...document.querySelectorAll('#Mixed tbody tr')].map(row => row.cells[0].textContent).join('')"
        return str(opened.execute_script(rows))

    head = next(th for th in opened.find_elements("css selector", "#Mixed th") if th.text.startswith(column))
    button = head.find_element("tag name", "button")
    assert head.get_attribute("aria-sort") == "none"
    button.click()
    assert (order(), head.get_attribute("aria-sort")) == (ascending, "ascending")
    gap = {"score": "c", "rate": "c", "difference": "a"}.get(column, "")
    button.send_keys("\ue007")  # the enter key: sorting needs no mouse
    assert (order(), head.get_attribute("aria-sort")) == (ascending.replace(gap, "")[::-1] + gap, "descending")
    assert len(opened.find_elements("css selector", "#Mixed th[aria-sort=none]")) == 4


def test_links_lead_to_places_and_files(opened: Any, page: Path) -> None:
    links = opened.execute_script("return [...document.links].map(link => link.getAttribute('href') ?? '')")
    links += opened.execute_script("return [...document.querySelectorAll('svg a')].map(a => a.getAttribute('href'))")
    ids = set(opened.execute_script("return [...document.querySelectorAll('[id]')].map(element => element.id)"))
    assert len(links) > 60 and len(ids) > 15
    assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []
    files = {link for link in links if not link.startswith("#")}
    assert len([link for link in files if link.startswith("tables/")]) > 10
    pictures = {"figures/map.png", "figures/map.svg"}  # save_picture writes these
    assert pictures < files
    assert [link for link in files - pictures if not (page.parent / link).is_file()] == []


def test_a_link_into_a_folded_part_unfolds_it(opened: Any) -> None:
    folded = "document.querySelector('#Results details:last-of-type')"
    opened.execute_script(f"{folded}.querySelector('td').id = 'deep'; location.hash = 'deep'")
    opened.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 0))")
    assert opened.execute_script(f"return {folded}.open")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_wide_and_narrow_light_and_dark(opened: Any, width: int, scheme: str) -> None:
    look(opened, width, scheme)
    opened.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    # Whatever is wider than the page scrolls inside a box of its own.
    loose = "[...document.querySelectorAll('main *')].filter(one => !one.closest('.scroll'))"
    assert opened.execute_script(f"return {loose}.filter(one => one.scrollWidth > innerWidth).length") == 0
    assert opened.execute_script(CONTRAST) == []
    dark = opened.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 29)"
    assert dark == (scheme == "dark")
