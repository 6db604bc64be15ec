"""The report in a real browser: no error, hostile data as text, keys, contrast, speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ifcurate.reports.page import write_report
from tests.browser import check_contrast, open_page
from tests.reports.test_page import HOSTILE, make_rows, make_run, run_with_a_long_line

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(run_with_a_long_line(tmp_path_factory.mktemp("report"))).as_uri()


@pytest.fixture(scope="module")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Few examples: axe-core looks at every token of every response."""
    run = make_run(tmp_path_factory.mktemp("small"), make_rows(12))
    return write_report(run).as_uri()


def test_the_report_opens_without_an_error_and_draws_its_charts(browser: Any, report: str) -> None:
    with open_page(browser, report) as page:
        assert page.locator(".chart canvas").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_texts_are_shown_as_text(browser: Any, report: str) -> None:
    with open_page(browser, report) as page:
        page.get_by_label("Search").fill("<script>")
        row = page.locator("tr.open:only-child")
        row.click()
        shown = page.locator("dialog .text").first.inner_text()
        assert shown.replace("U+202E", "\u202e") == HOSTILE
        assert page.evaluate("window.broken === undefined")
        assert page.locator("dialog img").count() == 0


def test_a_long_line_stays_inside_the_page(browser: Any, report: str) -> None:
    with open_page(browser, report, width=390) as page:
        page.get_by_label("Search").fill("A long line")
        page.locator("tr.open:only-child button").click()
        assert "characters are not shown" in page.locator("dialog").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_table_sorts_filters_and_counts(browser: Any, report: str) -> None:
    with open_page(browser, report) as page:
        page.get_by_role("button", name="Gain", exact=True).click()
        gains = page.locator("tr.open td:nth-child(3)").all_inner_texts()
        numbers = [float(text) for text in gains if text != "–"]
        assert numbers == sorted(numbers, reverse=True)
        page.get_by_label("Label").select_option("context-critical")
        card = page.locator(".card", has_text="Context-critical").first.locator("b").inner_text()
        assert f"of {card} shown examples" in page.locator(".count").inner_text()


def test_the_keyboard_alone_opens_an_example_and_reads_its_tokens(
    browser: Any, report: str
) -> None:
    with open_page(browser, report) as page:
        page.get_by_label("Label").focus()
        page.keyboard.press("c")  # context-critical: a select takes its first letters
        page.locator("tr.open button").first.focus()
        page.keyboard.press("Enter")
        first = page.locator("#dialog-title").inner_text()
        page.keyboard.press("j")
        assert page.locator("#dialog-title").inner_text() != first
        page.keyboard.press("k")
        assert page.locator("#dialog-title").inner_text() == first
        for _ in range(30):
            page.keyboard.press("Tab")
            if "tokens" in (page.evaluate("document.activeElement.ariaLabel") or ""):
                break
        page.keyboard.press("ArrowRight")
        assert "token 1 of" in page.locator("dialog .readout").inner_text()
        page.keyboard.press("Escape")
        assert not page.locator("dialog").is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_contrast_and_names_pass_wcag_aa(
    browser: Any, small_report: str, scheme: str, width: int
) -> None:
    with open_page(browser, small_report, scheme=scheme, width=width) as page:
        check_contrast(page)
        page.locator("tr.open button").first.click()
        check_contrast(page)


def test_a_large_report_is_small_and_opens_fast(browser: Any, tmp_path: Path) -> None:
    """A page of 800 examples and 4,000 points, as of 52,000 rows."""
    run = make_run(tmp_path, make_rows(5000))
    path = write_report(run)
    assert path.stat().st_size < 10e6
    with open_page(browser, path.as_uri()) as page:
        timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
        # The bar is 2 s on a machine with nothing else to do; tests share theirs.
        assert page.evaluate(timing) < 4000
