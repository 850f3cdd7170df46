"""Sweeps, records beside each other and their params: what `exp compare` and `exp params` have."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from page.axe import findings
from support.served import EXP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page
    from support.served import Served

MANY: Final = 1000
TOO_WIDE: Final = "document.documentElement.scrollWidth > innerWidth"
HOSTILE: Final = "<img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def experiment(server: Served) -> dict[str, str]:
    """The entry of the experiment with the sweep in the list of the server."""
    listed = server.ask("GET", "/v1/views/experiments?name=compared", token=server.add_token())
    entry: dict[str, str] = listed.json["experiments"][0]
    return entry


@pytest.fixture(scope="module")
def compared(experiment: dict[str, str]) -> str:
    """Its id."""
    return experiment["id"]


@pytest.fixture(scope="module")
def address(experiment: dict[str, str]) -> str:
    """The address of its sweep."""
    return "/".join(["/experiments", *(experiment[name] for name in ("owner", "home", "id"))]) + "?tab=sweep"


def command(home: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    ran = subprocess.run(
        [EXP, *arguments, "--json"],
        env={**os.environ, "NEMORUN_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=20,
    )
    return json.loads(ran.stdout)


def shown_rows(page: Page) -> list[dict[str, str]]:
    """The rows of the table that are kept, by the title of each cell: its full value."""
    rows: list[dict[str, str]] = page.evaluate(
        """[...document.querySelectorAll('.sweep-table tbody tr[data-row]:not(.is-left-out)')].map(row => ({
            name: row.querySelector('th').title,
            status: row.querySelector('svg').getAttribute('aria-label'),
            values: [...row.querySelectorAll('td[title]')].map(cell => cell.title.split('\\n')[0]),
        }))"""
    )
    return rows


def count(page: Page, text: str) -> None:
    """Wait until so many rows are kept: `3 of 6`."""
    page.locator(".comparison-count", has_text=re.compile(f"^{text}$")).wait_for()


def query(page: Page) -> dict[str, list[str]]:
    """The query of its address."""
    return parse_qs(urlsplit(page.url).query)


def axis(page: Page, key: str) -> Locator:
    """The axis of a column."""
    return page.locator(f'.parallel-axis[role=group][aria-label^="{key}, "]')


def test_the_table_has_the_rows_and_values_of_the_command_that_it_shows(
    server: Served, home: Path, address: str, visit: Callable[..., Page]
) -> None:
    """The table of a sweep has the rows, their order and the unrounded values of the command beside it."""
    chosen = (
        "&where=train/accuracy:max>=0.92&sort=-train/accuracy:max&key=train/loss:min&key=train/accuracy:max"
    )
    page = visit(server, address + chosen)
    count(page, "3 of 6")
    written = page.locator(".comparison .command-hint code").first.inner_text()
    document = command(home, *shlex.split(written)[1:])
    expected = [
        {
            "name": row["prefix"],
            "status": row["status"],
            "values": [
                *(text_of(row["params"][name]) for name in ("lr", "seed", "optimizer", "nesterov")),
                text_of(row["metrics"]["train/loss"]["min"]),
                text_of(row["metrics"]["train/accuracy"]["max"]),
            ],
        }
        for row in document["rows"]
    ]
    assert shown_rows(page) == expected
    assert (
        page.get_by_role("columnheader", name="train/accuracy max").get_attribute("aria-sort") == "descending"
    )
    page.get_by_text("best", exact=True).wait_for()


def text_of(value: object) -> str:
    """A value as JavaScript writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def test_failed_members_and_missing_values_are_shown_as_such(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """A member that failed has its status, no values, and a place below the axes; NaN is a word."""
    page = visit(server, address)
    count(page, "6 of 6")
    failed = page.get_by_role("row", name="lr=0.001,seed=2")
    failed.get_by_label("FAILED").wait_for()
    assert failed.get_by_title("no value of train/loss").inner_text() == "\N{EN DASH}"
    assert "NaN" in page.get_by_role("row", name="lr=0.1,seed=2").inner_text()
    page.get_by_role("group", name=re.compile("^Parallel axes")).get_by_text("no value").wait_for()
    page.get_by_text("2 of 6 not drawn: no value on one of the axes.").wait_for()


def test_a_brush_is_a_condition_and_the_address_has_all_of_the_view(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """A brush, by pointer or keys, is a condition in the address; a reload shows the same, Back returns."""
    page = visit(server, address)
    count(page, "6 of 6")
    axis(page, "lr").focus()
    page.keyboard.press("ArrowUp")
    count(page, "4 of 6")
    assert query(page)["where"] == ["lr>=0.01"]
    page.keyboard.press("ArrowRight")
    axis(page, "seed").and_(page.locator(":focus")).wait_for()
    line = axis(page, "optimizer").locator(".axis-hit").bounding_box()
    assert line is not None
    across = line["x"] + line["width"] / 2
    page.mouse.move(across, line["y"] + 4)
    page.mouse.down()
    page.mouse.move(across, line["y"] + 60, steps=3)
    page.mouse.up()
    count(page, "2 of 6")
    assert query(page)["where"] == ["lr>=0.01", "optimizer=sgd"]
    page.get_by_role("combobox", name="Value of train/loss").select_option("min")
    page.get_by_role("button", name="Axis train/loss:min").click()
    page.get_by_role("button", name="log", exact=True).click()
    page.get_by_role("columnheader", name="train/loss min").get_by_role("button").click()
    page.get_by_text("by train/loss:min, smallest first").wait_for()
    page.locator(".comparison[aria-busy=false]").wait_for()
    before = (query(page), shown_rows(page))
    page.reload()
    count(page, "2 of 6")
    assert (query(page), shown_rows(page)) == before
    assert axis(page, "train/loss:min").get_attribute("aria-label") == "train/loss:min, log: 2 of 6"
    page.get_by_role("button", name="Remove the condition lr>=0.01").click()
    page.get_by_role("button", name="Remove the condition optimizer=sgd").click()
    count(page, "6 of 6")
    page.go_back()
    count(page, "4 of 6")


def test_the_same_row_is_lifted_everywhere(server: Served, address: str, visit: Callable[..., Page]) -> None:
    """A row that the keys reach in the table is lifted in axes and scatter, too; Enter opens its record."""
    page = visit(server, f"{address}&sort=train/loss:min")
    count(page, "6 of 6")
    page.locator(".sweep-scroll").focus()
    page.keyboard.press("j")
    page.locator(".parallel-curves .is-lifted").wait_for()
    page.locator(".scatter-ring").wait_for()
    name = page.locator("tr.is-lifted th").get_attribute("title")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(re.escape(f"/records/{quote(name or '', safe='/')}")))


def test_means_over_seeds_are_those_of_the_command(
    server: Served, home: Path, compared: str, address: str, visit: Callable[..., Page]
) -> None:
    """The mean of each group, and how many values it is of, are those of `exp compare --group-by`."""
    page = visit(server, f"{address}&group_by=lr&sort=-train/loss")
    count(page, "3 of 3")
    document = command(
        home,
        "compare",
        compared,
        "--task",
        "train",
        "--group-by",
        "lr",
        "--sort",
        "train/loss",
        "--descending",
    )
    means = [group["metrics"]["train/loss"]["mean"] for group in document["groups"]]
    assert [row["values"][1] for row in shown_rows(page)] == [text_of(mean) for mean in means]
    page.get_by_role("button", name="Mean over seed, optimizer, nesterov").or_(
        page.get_by_role("button", name="Mean over seed, nesterov")
    ).wait_for()


def test_exports_are_those_of_the_command(
    server: Served, home: Path, compared: str, address: str, visit: Callable[..., Page]
) -> None:
    """CSV and Markdown are, byte for byte, what the command prints; JSON is its document."""
    page = visit(server, f"{address}&sort=train/loss")
    count(page, "6 of 6")
    saved = {}
    for kind in ("CSV", "Markdown", "JSON"):
        page.get_by_role("button", name="CSV, JSON, Markdown").click()
        with page.expect_download() as started:
            page.get_by_role("button", name=f"Save as {kind}").click()
        saved[kind] = started.value.path().read_bytes()
    arguments = [EXP, "compare", compared, "--task", "train", "--sort", "train/loss", "--format"]
    for kind in ("CSV", "Markdown"):
        ran = subprocess.run(
            [*arguments, kind.lower()],
            env={**os.environ, "NEMORUN_HOME": str(home)},
            stdout=subprocess.PIPE,
            check=True,
            timeout=20,
        )
        assert saved[kind] == ran.stdout
    rows = command(home, *arguments[1:-1])["rows"]
    assert json.loads(saved["JSON"])["rows"] == rows


def test_params_side_by_side_are_those_of_the_command(
    server: Served, home: Path, compared: str, address: str, visit: Callable[..., Page]
) -> None:
    """What differs, how many are the same, and all params with their types, as `exp params` has them."""
    page = visit(server, address.replace("tab=sweep", "tab=params"))
    table = page.locator(".params-diff-table")
    table.get_by_role("row", name="nesterov false true").wait_for()
    recorded = command(home, "params", compared)["records"]
    first, second = [record["params"] for record in recorded if record["task"]][:2]
    differing = [name for name in first if first[name] != second[name]]
    same = len(first) - len(differing)
    section = table.locator("tbody").first
    assert section.get_by_role("row").count() == 1 + len(differing)
    section.get_by_role("button", name=f"{same} are the same").click()
    cells = section.locator("tr:has(td)")
    shown = [cells.nth(index).inner_text().split("\t")[:3] for index in range(cells.count())]
    shown = [[text.strip() for text in row] for row in shown]
    assert shown == [[name, written(first[name]), written(second[name])] for name in first]
    assert ["batch", '"1"', '"1"'] in shown
    assert ["note", "null", "null"] in shown


def written(value: object) -> str:
    """A value as the page writes it: a text in quotes if it looks like a value of another type."""
    return json.dumps(value) if not isinstance(value, str) or value == "1" else value


def test_hostile_names_are_text(server: Served, visit: Callable[..., Page]) -> None:
    """Names and values that try markup, direction and 100 kB of text are shown as text."""
    page = visit(server, "/compare")
    page.get_by_text("Nothing is chosen yet.").wait_for()
    page.get_by_role("searchbox", name="Add an experiment, a record or a prefix").fill("tester/hostile/*")
    page.keyboard.press("Enter")
    count(page, "2 of 2")
    page.get_by_role("columnheader", name=HOSTILE).wait_for()
    page.get_by_role("link", name="Params", exact=True).click()
    page.get_by_role("row", name=re.compile(r"^kind\s+1\s+\"1\"")).wait_for()
    page.get_by_role("button", name=re.compile("characters$")).first.wait_for()
    assert page.locator("img").count() == 0
    assert page.title() != "run"


def test_a_thousand_rows_are_drawn_as_far_as_they_are_seen(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """Of 1,000 rows the table draws those that are seen; keys reach the last; all curves are few paths."""
    page = visit(server, "/v1/hello")
    rows = [member(number) for number in range(MANY)]
    columns = ["loss", "accuracy"]
    document = {"schema": "exp.compare/1", "differing": ["lr", "name"], "columns": columns, "rows": rows}
    page.route("**/v1/views/compare?*", lambda route: route.fulfill(json=document))
    page.goto(f"{server.url}{address}&sort=loss")
    count(page, f"{MANY} of {MANY}")
    assert page.locator("tr[data-row]").count() < 200
    assert page.locator(".parallel-curves path").count() < 12
    page.locator(".sweep-scroll").focus()
    page.keyboard.press("End")
    page.get_by_role("link", name="run-999", exact=True).wait_for()


def member(number: int) -> dict[str, Any]:
    """A row of a large sweep."""
    value = 1 / (1 + number)
    statistics = {"last": value, "min": value, "max": value, "mean": value, "count": 9, "nan": 0}
    return {
        "prefix": f"tester/large/run-{number}",
        "dash_root": "/dash",
        "experiment": "large_1",
        "task": f"run-{number}",
        "status": "COMPLETED",
        "params": {"lr": 10 ** -(number % 5), "name": f"name-{number}"},
        "metrics": {"loss": statistics, "accuracy": {**statistics, "last": 1 - value}},
    }


def test_a_condition_that_is_none_says_how_to_write_one(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """The message of the server stands beside the rows, which stay."""
    page = visit(server, address)
    count(page, "6 of 6")
    refused = {
        "format": "exp.error/1",
        "code": "usage",
        "message": "there is no metric 'nothing'",
        "hint": "lr",
    }
    page.evaluate(
        """refused => { const own = fetch; window.fetch = (path, asked) => path.includes('where=')
            ? Promise.resolve(new Response(JSON.stringify(refused), {status: 400})) : own(path, asked); }""",
        refused,
    )
    page.get_by_role("button", name="+ condition").click()
    page.get_by_role("combobox", name="Condition", exact=True).fill("nothing=1")
    page.keyboard.press("Enter")
    page.get_by_text("there is no metric 'nothing'").wait_for()
    count(page, "6 of 6")


def test_it_fits_a_phone_and_can_be_used_without_seeing_it(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """Axe has no serious finding in the sweep, the params and an empty comparison; none is too wide."""
    phone = {"width": 360, "height": 900}
    page = visit(server, f"{address}&sort=train/loss&where=lr>=0.01", viewport=phone)
    count(page, "4 of 6")
    assert not findings(page)
    assert not page.evaluate(TOO_WIDE)
    for path, seen, theme in (
        (address.replace("tab=sweep", "tab=params"), ".params-diff-table", "dark"),
        ("/compare", ".empty-state", "light"),
    ):
        page.goto(server.url + path)
        page.locator(seen).wait_for()
        assert not findings(page, themes=[theme])
        assert not page.evaluate(TOO_WIDE)
