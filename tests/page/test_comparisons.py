"""Sweeps, records beside each other and their params: what `exp compare` and `exp params` have."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from page.axe import findings
from page.links import follow
from playwright.sync_api import expect
from support.extent import amount
from support.patience import eventually
from support.view_sites import replica
from support.workspace import Exp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page
    from support.served import Served

MANY: Final = amount(250, long=1000)
HUGE: Final = 2**53
ANSWER: Final = """([document, refused]) => {
    const own = fetch;
    const answer = (path) => path.includes('where=')
        ? new Response(JSON.stringify(refused), {status: 400})
        : new Response(JSON.stringify(document));
    window.fetch = (path, asked) =>
        path.startsWith('/v1/views/compare') ? Promise.resolve(answer(path)) : own(path, asked);
}"""
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


@pytest.fixture
def exp(home: Path, tmp_path: Path) -> Exp:
    """The command, over the home that the page shows."""
    return Exp(home, tmp_path)


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


def test_the_table_is_that_of_the_command_that_it_shows(
    server: Served, exp: Exp, compared: str, address: str, visit: Callable[..., Page]
) -> None:
    """Rows, order, unrounded values, means and saved files are those of the command beside the table."""
    chosen = (
        "&where=train/accuracy:max>=0.92&sort=-train/accuracy:max&key=train/loss:min&key=train/accuracy:max"
    )
    page = visit(server, address + chosen)
    count(page, "3 of 6")
    arguments = shlex.split(page.locator(".comparison .command-hint code").first.inner_text())[1:]
    document = exp(*arguments, "--json").json
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
    saved = {}
    for kind in ("CSV", "Markdown", "JSON"):
        page.get_by_role("button", name="CSV, JSON, Markdown").click()
        with page.expect_download() as started:
            page.get_by_role("button", name=f"Save as {kind}").click()
        saved[kind] = started.value.path().read_text(encoding="utf-8")
    for kind in ("CSV", "Markdown"):
        assert saved[kind] == exp(*arguments, "--format", kind.lower()).stdout
    rows = json.loads(saved["JSON"])["rows"]
    assert [row.pop("root") for row in rows]  # which a server adds
    assert rows == document["rows"]

    follow(page, f"{address}&group_by=lr&sort=-train/loss")
    count(page, "3 of 3")
    grouping = ("--group-by", "lr", "--sort", "train/loss", "--descending")
    grouped = exp("compare", compared, "--task", "train", *grouping, "--json").json
    means = [group["metrics"]["train/loss"]["mean"] for group in grouped["groups"]]
    assert [row["values"][1] for row in shown_rows(page)] == [text_of(mean) for mean in means]
    page.get_by_role("button", name="Mean over seed, optimizer, nesterov").or_(
        page.get_by_role("button", name="Mean over seed, nesterov")
    ).wait_for()


def text_of(value: object) -> str:
    """A value as JavaScript writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def test_a_brush_is_a_condition_and_the_address_has_all_of_the_view(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """A brush, by pointer or keys, is a condition in the address; a reload shows the same, Back returns."""
    page = visit(server, address)
    count(page, "6 of 6")
    says_what_is_missing(page)
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
    is_lifted_and_marked(page, address)


def is_lifted_and_marked(page: Page, address: str) -> None:
    """A row that the keys reach is lifted in axes and scatter, too; x marks rows; Enter opens the record."""
    follow(page, f"{address}&sort=train/loss:min")
    count(page, "6 of 6")
    page.locator(".sweep-scroll").focus()
    page.keyboard.press("j")
    page.locator(".parallel-curves .is-lifted").wait_for()
    page.locator(".scatter-ring").wait_for()
    first = page.locator("tr.is-lifted th").get_attribute("title")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".sweep-marked")).to_contain_text("2 marked")
    second = page.locator("tr.is-lifted th").get_attribute("title")
    compare = page.get_by_role("link", name="Compare", exact=True).last
    assert parse_qs(urlsplit(compare.get_attribute("href") or "").query) == {"record": [first, second]}
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(re.escape(f"/records/{quote(second or '', safe='/')}")))


def says_what_is_missing(page: Page) -> None:
    """A member that failed has its status, no values, and a place below the axes; NaN is a word."""
    failed = page.get_by_role("row", name="lr=0.001,seed=2")
    failed.get_by_label("FAILED").wait_for()
    assert failed.get_by_title("no value of train/loss").inner_text() == "\N{EN DASH}"
    assert "NaN" in page.get_by_role("row", name="lr=0.1,seed=2").inner_text()
    page.get_by_role("group", name=re.compile("^Parallel axes")).get_by_text("no value").wait_for()
    page.get_by_text("2 of 6 not drawn: no value on one of the axes.").wait_for()


def test_params_side_by_side_are_those_of_the_command(
    server: Served, exp: Exp, compared: str, address: str, visit: Callable[..., Page]
) -> None:
    """What differs, how many are the same, and all params with their types; what is hostile is text."""
    page = visit(server, address.replace("tab=sweep", "tab=params"))
    table = page.locator(".params-diff-table")
    table.get_by_role("row", name="nesterov false true").wait_for()
    recorded = exp("params", compared, "--json").json["records"]
    first, second = [record["params"] for record in recorded if record["task"]][:2]
    differing = [name for name in first if first[name] != second[name]]
    same = len(first) - len(differing)
    section = table.locator("tbody").first
    assert section.get_by_role("row").count() == 1 + len(differing)
    section.get_by_role("button", name=f"{same} are the same").click()
    cells = section.locator("tr:has(td)")
    shown = [text.split("\t")[:3] for text in cells.all_inner_texts()]
    shown = [[text.strip() for text in row] for row in shown]
    assert shown == [[name, written(first[name]), written(second[name])] for name in first]
    assert ["batch", '"1"', '"1"'] in shown
    assert ["note", "null", "null"] in shown

    follow(page, "/compare")
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


def written(value: object) -> str:
    """A value as the page writes it: a text in quotes if it looks like a value of another type."""
    return json.dumps(value) if not isinstance(value, str) or value == "1" else value


def test_records_of_one_prefix_stay_two(
    home: Path, other_root: Path, server: Served, visit: Callable[..., Page]
) -> None:
    """In two folders, they are two rows, columns and lines that their folders name; no digit is lost."""
    prefix = "tester/doubled/run"
    roots = (home / "dash", other_root)
    for number, root in enumerate(roots):
        folder = replica(root, prefix, rows={"m": [{"step": 0, "loss": 1.0}, {"step": 1, "loss": 0.5}]})
        (folder / "params").mkdir()
        text = json.dumps({"_ts": 1.0, "set": {"seed": HUGE + 1 + number}})
        (folder / "params/0001-x-1.jsonl").write_text(f"{text}\n")
    try:
        listed = "/v1/views/records?prefix=tester/doubled"
        eventually(lambda: len(server.ask("GET", listed, token=server.add_token()).json["records"]) == 2)
        page = visit(server, f"/compare?record={prefix}")
        count(page, "2 of 2")
        seeds = [str(HUGE + 1), str(HUGE + 2)]
        names = [f"in {'/'.join(root.parts[-2:])}" for root in roots]
        rows = page.locator("tr[data-row]")
        for row, seed, name in zip(rows.all(), seeds, names, strict=True):
            expect(row.get_by_role("cell", name=seed, exact=True)).to_be_visible()
            expect(row.get_by_role("rowheader")).to_contain_text(name)
        page.get_by_role("link", name="Params", exact=True).click()
        page.get_by_role("row", name=re.compile(rf"^seed\s+{seeds[0]}\s+{seeds[1]}")).wait_for()
        chosen = page.get_by_role("combobox", name=re.compile("^Record instead of"))
        for column, name in zip(chosen.all(), names, strict=True):
            expect(column.locator("option:checked")).to_contain_text(name)
        page.get_by_role("link", name="Curves", exact=True).click()
        runs = page.get_by_role("region", name="Runs")
        for seed in seeds:
            expect(runs.get_by_role("cell", name=seed, exact=True)).to_be_visible()
        expect(page.get_by_role("application")).to_have_accessible_name(re.compile("2 lines"))
        page.get_by_role("link", name="Table", exact=True).click()
        rows.last.get_by_role("link").click()
        page.wait_for_url(re.compile(r"/records/tester/doubled/run\?root="))
        page.locator(".params-table").get_by_role("cell", name=seeds[1], exact=True).wait_for()
        page.goto("about:blank")  # before what it shows is removed
    finally:
        for root in roots:
            shutil.rmtree(root / "tester/doubled")


def test_many_rows_are_drawn_as_far_as_they_are_seen(
    server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """Of many rows the table draws those that are seen, keys reach the last; an error leaves the rows."""
    page = visit(server, "/compare")
    page.get_by_text("Nothing is chosen yet.").wait_for()
    rows = [member(number) for number in range(MANY)]
    columns = ["loss", "accuracy"]
    document = {"schema": "exp.compare/1", "differing": ["lr", "name"], "columns": columns, "rows": rows}
    refused = {
        "format": "exp.error/1",
        "code": "usage",
        "message": "there is no metric 'nothing'",
        "hint": "lr",
    }
    page.evaluate(ANSWER, [document, refused])
    follow(page, f"{address}&sort=loss")
    count(page, f"{MANY} of {MANY}")
    assert page.locator("tr[data-row]").count() < 200
    assert page.locator(".parallel-curves path").count() < 12
    page.locator(".sweep-scroll").focus()
    page.keyboard.press("End")
    page.get_by_role("link", name=f"run-{MANY - 1}", exact=True).wait_for()
    page.get_by_role("button", name="+ condition").click()
    page.get_by_role("combobox", name="Condition", exact=True).fill("nothing=1")
    page.keyboard.press("Enter")
    page.get_by_text("there is no metric 'nothing'").wait_for()
    count(page, f"{MANY} of {MANY}")


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
        follow(page, path)
        page.locator(seen).wait_for()
        assert not findings(page, themes=[theme])
        assert not page.evaluate(TOO_WIDE)
