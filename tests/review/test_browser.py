"""The review in a real browser: the slider, labels by key, a reload, hostile data, contrast."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ifcurate.storage.by_hand import read_overrides
from tests.browser import LONG, check_contrast, open_page
from tests.reports.test_page import HOSTILE, run_with_a_long_line
from tests.review.test_application import TOKEN, write_counterfactual

uvicorn = pytest.importorskip("uvicorn")
from ifcurate.reports.facts import gather_facts  # noqa: E402
from ifcurate.reports.tokens import TokenTexts  # noqa: E402
from ifcurate.review.application import create_application, open_listener  # noqa: E402
from ifcurate.review.counterfactuals import Counterfactuals  # noqa: E402
from ifcurate.review.session import Session  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("review")
    run = run_with_a_long_line(folder)
    write_counterfactual(run)
    return run.folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    from ifcurate.runs.run import find_run

    run = find_run(folder)
    with open_listener(0) as listener:
        port = listener.getsockname()[1]
        app = create_application(
            Session(gather_facts(run), TokenTexts(run)),
            Counterfactuals(run.folder / "augmented"),
            token=TOKEN,
            port=port,
        )
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/{TOKEN}/"
        server.should_exit = True
        thread.join()


def read_count(page: Any, name: str) -> int:
    return int(page.locator(f'[data-count="{name}"]').inner_text().replace(",", ""))


def test_the_slider_changes_the_counts_and_the_examples(browser: Any, address: str) -> None:
    with open_page(browser, address) as page:
        page.wait_for_selector('.entry[aria-current="true"]')
        before, first = read_count(page, "Dropped"), page.locator(".entry").first.inner_text()
        page.locator("#cut").focus()
        for _ in range(30):
            page.keyboard.press("]")
        page.wait_for_function(
            "n => +document.querySelector('[data-count=Dropped]').textContent > n", arg=before
        )
        page.wait_for_function("t => document.querySelector('.entry').innerText !== t", arg=first)
        assert read_count(page, "Changed") == read_count(page, "Dropped") - before


def test_a_label_set_by_key_is_saved_and_survives_a_reload(
    browser: Any, address: str, folder: Path
) -> None:
    with open_page(browser, address) as page:
        page.wait_for_selector("#shown .example")
        page.keyboard.press("j")
        page.wait_for_selector('li:nth-child(2) .entry[aria-current="true"]')
        label = page.locator('.entry[aria-current="true"] .label').inner_text()
        other = "2" if label == "context-critical" else "1"
        page.keyboard.press(other)
        page.wait_for_selector('.entry[aria-current="true"] .hand')
        (saved,) = read_overrides(folder).values()
        assert saved.label != label
        page.reload()
        page.wait_for_selector(".entry .hand")
        assert read_count(page, "Set by hand") == 1
        page.locator(".entry", has=page.locator(".hand")).click()
        page.wait_for_selector('#shown button[aria-pressed="true"]')
        page.keyboard.press("0")
        page.wait_for_selector(".entry .hand", state="detached")
    assert read_overrides(folder) == {}


def test_hostile_and_long_texts_are_shown_as_text(browser: Any, address: str) -> None:
    with open_page(browser, address, width=390) as page:
        page.wait_for_selector("#shown .example")
        page.get_by_label("Search").fill("<script>")
        page.wait_for_selector(".entries li:only-child")
        page.wait_for_selector("#shown .text >> text=broken")
        shown = page.locator("#shown .text").first.inner_text()
        assert shown.replace("U+202E", "\u202e") == HOSTILE
        page.get_by_label("Show").select_option("all")
        page.get_by_label("Search").fill("A long line")
        page.wait_for_selector("#shown .text >> text=long line long line")
        assert LONG.strip() in page.locator("#shown").text_content()
        assert page.evaluate("window.broken === undefined")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_counterfactual_is_judged_by_key_and_survives_a_reload(
    browser: Any, address: str
) -> None:
    with open_page(browser, address) as page:
        page.wait_for_selector("#pairs .example")
        page.keyboard.press("b")
        page.wait_for_selector('#pairs [data-verdict="broken"][aria-pressed="true"]')
        page.reload()
        page.wait_for_selector('#pairs [data-verdict="broken"][aria-pressed="true"]')
        assert "1 broken" in page.locator("#pairs .count").inner_text()


def test_typing_in_the_search_sets_no_label(browser: Any, address: str, folder: Path) -> None:
    with open_page(browser, address) as page:
        page.wait_for_selector("#shown .example")
        page.keyboard.press("/")
        page.keyboard.type("120jk")
        page.wait_for_selector("#shown >> text=No example matches")
    assert read_overrides(folder) == {}


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 390)])
def test_contrast_and_names_pass_wcag_aa(
    browser: Any, address: str, scheme: str, width: int
) -> None:
    with open_page(browser, address, scheme=scheme, width=width) as page:
        page.wait_for_selector("#shown .example")
        check_contrast(page)
