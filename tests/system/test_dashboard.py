"""The dashboard in a real browser: what it shows, what can be done with it, and how it fails."""

from __future__ import annotations

import contextlib
import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client, JavaScriptError
from tests.browser import Browser, browser_in
from tests.guard import TOKEN
from tests.madeup import HOSTILE
from tests.servers import ROOT, RunningServer, Servers, environment, poll_until, servers_in

SCRIPT = """
madrpc.register("add", ({a, b}) => ({sum: a + b}));
madrpc.register("echo", args => args);
madrpc.register("boom", () => { throw new RangeError("too far"); });
madrpc.register("markup", () => { throw new Error("<img src=x onerror=window.pwned=1>"); });
madrpc.register("spin", () => { for (;;); });
"""
PHONE, DESK = (360, 740), (1440, 900)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_in(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def node(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("dashboard")) as servers:
        words = ("--pool-size", 2, "--http", "127.0.0.1:0")
        yield servers.node("-s", servers.script(SCRIPT), *words)


@pytest.fixture(scope="module")
def made(browser: Browser) -> Iterator[Callable[..., str]]:
    """Addresses of made-up servers, each started once."""
    with contextlib.ExitStack() as stack:
        urls: dict[tuple[object, ...], str] = {}

        def url(*words: object) -> str:
            if words not in urls:
                urls[words] = stack.enter_context(made_up(*words))
            return urls[words]

        yield url


@contextlib.contextmanager
def made_up(*words: object) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.madeup", *map(str, words)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1]
    finally:
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()


def url_of(server: RunningServer) -> str:
    return server.ready_line.split()[-1]


def rows(browser: Browser, table: str, column: int = 0) -> list[str]:
    return browser.texts(f"#{table} tbody tr > :nth-child({column + 1})")


def call(browser: Browser, name: str, args: str, *keys: str) -> None:
    """Fill in the form, and send it by keyboard."""
    browser.fill("#method", name)
    browser.fill("#args", args)
    browser.find("#args").send_keys(*(keys or (CONTROL_ENTER,)))


CONTROL_ENTER = "\ue009\ue007"


# ----------------------------------------------------------------- a real node


def test_it_loads_alone_and_moves_under_load(browser: Browser, node: RunningServer) -> None:
    browser.open(url_of(node))
    browser.wait_live()
    assert browser.text("#state") == "up"
    assert browser.text("#address") == node.address
    assert browser.text("#meta").startswith("node")
    with Client(node.address) as client:
        for n in range(200):
            client.call("add", {"a": n, "b": 1})
        with pytest.raises(JavaScriptError):
            client.call("boom", {})
    busiest = "#methods tbody tr:first-child :nth-child(%d)"
    browser.wait(f"document.querySelector('{busiest % 7}').textContent === '200'")
    assert browser.text(busiest % 1) == "add"
    assert browser.text(busiest % 4).endswith("ms")
    # The second of the load is in the charts' history, and the keys find it.
    drawn = "document.querySelectorAll('.plot .stroke')[0].getAttribute('d')"
    browser.wait(f"new Set({drawn}.match(/ \\d+\\.\\d/g)).size > 1")
    assert rows(browser, "nodes") == [node.address]
    assert browser.complaints() == []
    assert {url.split("/", 3)[2] for url in browser.requests() if not url.startswith("data:")} == {
        url_of(node).removeprefix("http://")
    }


def test_a_function_is_called_from_the_keyboard(browser: Browser, node: RunningServer) -> None:
    browser.open(url_of(node))
    browser.wait("document.querySelectorAll('#method-names option').length === 5")
    call(browser, "echo", '{"n": 1, "big": 1e3, "text": "<b>\\u00e9</b>"}')
    browser.wait("document.getElementById('answer-text').textContent.includes('<b>é</b>')")
    assert browser.text("#answer-title") == "Result"
    assert browser.text("#answer-time").endswith("s")
    # What JavaScript would round is refused by the server, not rounded by the page.
    call(browser, "echo", '{"n": 12345678901234567890}')
    browser.wait("document.getElementById('answer-title').textContent === 'InvalidArguments'")
    browser.find("#methods tbody button").click()
    assert browser.js("document.activeElement.id") == "args"


def test_errors_of_functions_are_shown_with_their_stacks(
    browser: Browser, node: RunningServer
) -> None:
    browser.open(url_of(node))
    browser.wait_live()
    call(browser, "boom", "{}")
    text = browser.wait(
        "document.getElementById('answer-title').textContent === 'JavaScriptError' && "
        "document.getElementById('answer-text').textContent"
    )
    assert "too far" in text
    assert "script.js:4" in text
    call(browser, "markup", "{}")
    browser.wait("document.getElementById('answer-text').textContent.includes('<img src=x')")
    call(browser, "nope", "{}")
    browser.wait("document.getElementById('answer-title').textContent === 'MethodNotFound'")
    browser.fill("#timeout", "0.2")
    call(browser, "spin", "{}")
    browser.wait("document.getElementById('answer-title').textContent === 'CallTimeout'")
    assert browser.js("typeof window.pwned") == "undefined"


@pytest.mark.parametrize(
    ("args", "place"),
    [
        ('{"a": 1,}', "Line 1, column 9: a comma must not stand"),
        ("{'a': 1}", "Line 1, column 2: expected a name in double quotes"),
        ('{"a": 01}', 'Line 1, column 8: expected "," or "}"'),
        ("[1, 2]", "Line 1, column 1: arguments go by name"),
        ('{"a": "open}', "Line 1, column 7: this string has no end"),
    ],
)
def test_the_place_of_a_mistake_in_the_arguments_is_shown(
    browser: Browser, node: RunningServer, args: str, place: str
) -> None:
    if browser.js("location.origin") != url_of(node):
        browser.open(url_of(node))
        browser.wait_live()
    asked = len([url for url in browser.requests() if url.endswith("/rpc")])
    call(browser, "add", args)
    assert browser.text("#args-error").startswith(place)
    assert browser.js("document.getElementById('args').getAttribute('aria-invalid')") == "true"
    assert len([url for url in browser.requests() if url.endswith("/rpc")]) == 0, asked


def test_a_call_that_takes_long_can_be_given_up(browser: Browser, node: RunningServer) -> None:
    browser.open(url_of(node))
    browser.wait_live()
    call(browser, "spin", "{}")
    browser.wait("!document.getElementById('call-stop').hidden")
    browser.find("#call-stop").click()
    browser.wait("document.getElementById('answer-title').textContent === 'Cancelled'")


def test_the_token_is_asked_for_and_kept_in_the_tab(browser: Browser, servers: Servers) -> None:
    token = servers.folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    words = ("--pool-size", 1, "--http", "127.0.0.1:0", "--auth-token-file", token)
    node = servers.node("-s", servers.script(SCRIPT), *words)
    browser.open(url_of(node))
    browser.wait("!document.getElementById('token-form').hidden")
    assert browser.js("document.activeElement.id") == "token"
    browser.find("#token").send_keys("wrong\n")
    browser.wait("document.getElementById('token-note').textContent.includes('did not take')")
    browser.find("#token").send_keys(TOKEN + "\n")
    browser.wait_live()
    assert browser.js("document.getElementById('token-form').hidden")
    call(browser, "add", '{"a": 1, "b": 2}')
    browser.wait("document.getElementById('answer-text').textContent.includes('3')")
    browser.driver.refresh()
    browser.wait_live()
    assert browser.js("document.cookie + JSON.stringify(localStorage)") == "{}"
    browser.find("#forget").click()
    browser.wait("!document.getElementById('token-form')?.hidden")
    assert browser.js("sessionStorage.length") == 0


def test_it_says_that_the_server_is_gone_and_comes_back(browser: Browser, servers: Servers) -> None:
    first = servers.orchestrator(words=("--http", "127.0.0.1:0"))
    url = url_of(first)
    browser.open(url)
    browser.wait_live()
    assert browser.text("#state") == "degraded"
    browser.wait("document.querySelector('#nodes [data-empty]').textContent.includes('No nodes')")
    first.stop()
    banner = browser.wait(
        "!document.getElementById('banner').hidden && document.getElementById('banner').textContent"
    )
    assert banner.startswith("No connection to the server")
    assert browser.text("#link") == "no connection"
    servers.orchestrator(words=("--http", url.removeprefix("http://")))
    browser.wait_live()
    assert browser.js("document.getElementById('banner').hidden")


# -------------------------------------------------------------------- made up


def test_tables_sort_filter_and_are_saved(browser: Browser, made: Callable[..., str]) -> None:
    browser.open(made("--nodes", 200, "--methods", 300))
    browser.wait("document.querySelectorAll('#nodes tbody tr').length === 200")
    assert len(rows(browser, "methods")) == 300
    # What needs a look comes first.
    assert rows(browser, "nodes", 1)[:4] == ["down", "ejected", "suspect", "draining"]
    browser.find("#nodes thead th:first-child button").click()
    assert rows(browser, "nodes")[:2] == ["10.0.0.10:9001", "10.0.0.11:9001"]
    browser.find("#nodes thead th:first-child button").click()
    assert rows(browser, "nodes")[0] == "10.0.1.109:9001"
    sorted_by = browser.js("document.querySelector('#nodes th[aria-sort]').ariaSort")
    assert sorted_by == "descending"
    browser.find("#methods [data-filter]").send_keys("price_curve")
    browser.wait("document.querySelectorAll('#methods tbody tr').length === 5")
    assert browser.text("#methods [data-count]") == "5 of 300"
    browser.find("#methods [data-csv]").click()
    saved = browser.downloads / "madrpc-methods.csv"
    poll_until(lambda: saved.exists() and saved.read_text(), "the file is saved")
    with saved.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 5
    assert {row["function"][:11] for row in table} == {"price_curve"}
    assert all(float(row["p95_ms"] or 0) >= 0 for row in table)
    browser.find("#methods [data-filter]").send_keys("none of them")
    browser.wait("document.querySelector('#methods [data-empty]').textContent.includes('match')")


def test_slow_calls_and_errors_are_laid_open(browser: Browser, made: Callable[..., str]) -> None:
    browser.open(made("--nodes", 3, "--methods", 12))
    browser.wait("document.querySelectorAll('#slowest-list li').length === 12")
    told = browser.js("document.querySelector('#slowest-list .parts').ariaLabel")
    assert told.startswith("queue ")
    assert "run " in told
    summary = browser.find("#errors-list summary")
    summary.send_keys("\n")
    assert "rules.js:42:11" in browser.text("#errors-list details[open] pre")
    browser.find("#charts .plot").send_keys("\ue012")
    assert browser.text("#charts figcaption span") == "1 s ago"


def test_hostile_names_and_messages_stay_text(browser: Browser, made: Callable[..., str]) -> None:
    browser.open(made("--nodes", 12, "--methods", 12, "--hostile"))
    browser.wait(f"document.querySelectorAll('#errors-list details').length === {len(HOSTILE)}")
    assert set(HOSTILE) <= set(rows(browser, "methods"))
    assert set(HOSTILE) <= set(rows(browser, "nodes"))
    assert set(HOSTILE) <= set(browser.texts("#errors-list pre"))
    call(browser, HOSTILE[1], "{}")
    browser.wait("document.getElementById('answer-text').textContent.includes('onerror')")
    assert browser.js("document.querySelectorAll('img, script, iframe, object').length") == 1
    assert browser.js("typeof window.pwned") == "undefined"
    assert browser.complaints() == []
    assert browser.js("document.documentElement.scrollWidth") == DESK[0]
    saved = browser.downloads / "madrpc-nodes.csv"
    browser.find("#nodes [data-csv]").click()
    poll_until(lambda: saved.exists() and saved.read_text(), "the file is saved")
    with saved.open(encoding="utf-8-sig", newline="") as file:
        names = {row["node"] for row in csv.DictReader(file)}
    assert "'=HYPERLINK(1)" in names, "a spreadsheet must not take a name for a formula"


SIZES: list[tuple[Any, ...]] = [
    ("--nodes", 0, "--methods", 0),
    ("--nodes", 1, "--methods", 1),
    ("--nodes", 200, "--methods", 300),
    ("--nodes", 12, "--methods", 12, "--hostile"),
]


@pytest.mark.parametrize("words", SIZES, ids=lambda words: " ".join(map(str, words)))
def test_nothing_is_cut_off_on_a_phone(
    browser: Browser, made: Callable[..., str], words: tuple[Any, ...]
) -> None:
    for width, height in (DESK, PHONE):
        browser.open(made(*words), width, height)
        browser.wait_live()
        browser.wait("document.querySelector('#nodes [data-count]').textContent !== ''")
        assert browser.js("document.documentElement.scrollWidth") == width
        assert browser.complaints() == []
        outside = f"""Array.from(document.querySelectorAll('button, input, select, h2, figure'))
            .filter(each => !each.closest('.scroll'))
            .filter(each => each.getBoundingClientRect().right > {width})
            .map(each => each.outerHTML)"""
        assert browser.js(outside) == []


def test_every_control_has_a_name_and_can_be_reached(
    browser: Browser, made: Callable[..., str]
) -> None:
    browser.open(made("--nodes", 1, "--methods", 1))
    browser.wait_live()
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    kinds = {"button", "textbox", "searchbox", "combobox", "spinbutton", "link", "region", "image"}
    unnamed = [
        each for each in nodes
        if each.get("role", {}).get("value") in kinds
        and not each.get("ignored")
        and not each.get("name", {}).get("value")
    ]  # fmt: skip
    assert unnamed == []
    from selenium.webdriver.common.keys import Keys

    browser.find("body").send_keys(Keys.TAB)
    assert browser.js("document.activeElement.className") == "skip"


def test_light_and_dark_by_the_system_and_by_the_switch(
    browser: Browser, made: Callable[..., str]
) -> None:
    def is_dark() -> bool:
        colour = browser.js("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.strip("rgb()").split(","))) < 200

    url = made("--nodes", 1, "--methods", 1)
    browser.prefer("dark")
    browser.open(url)
    assert is_dark()
    browser.prefer("light")
    assert not is_dark()
    browser.find("#theme option[value=dark]").click()
    assert is_dark()
    browser.driver.refresh()
    assert is_dark()
    browser.find("#theme option[value='']").click()
    assert not is_dark()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_from_their_ground(
    browser: Browser, made: Callable[..., str], scheme: str
) -> None:
    """WCAG asks for 4.5 to 1 between text and what is behind it."""
    browser.prefer(scheme)
    browser.open(made("--nodes", 1, "--methods", 1))
    browser.wait_live()
    found = browser.js("""(() => {
        const probe = document.createElement('i');
        document.body.append(probe);
        const rgb = name => {
          probe.style.color = `var(--${name})`;
          return getComputedStyle(probe).color.match(/\\d+/g).map(Number);
        };
        const names = ['panel', 'page', 'text', 'dim', 'blue', 'green', 'amber', 'red'];
        return Object.fromEntries(names.map(name => [name, rgb(name)]));
    })()""")
    for name in ("text", "dim", "blue", "green", "amber", "red"):
        for ground in ("panel", "page"):
            assert contrast(found[name], found[ground]) >= 4.5, (name, ground)
    browser.prefer("light")


def contrast(one: list[int], other: list[int]) -> float:
    def luminance(colour: list[int]) -> float:
        parts = [c / 255 for c in colour]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_picture_in_the_docs_is_small() -> None:
    picture = Path(ROOT) / "docs" / "images" / "dashboard.png"
    assert 10_000 < picture.stat().st_size < 150_000
