"""The live page in a real browser."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.running import running
from tests.gateway.ui.conftest import NARROW, WIDE
from tests.gateway.ui.test_pages import MAY, MAY_NOT, crowd, customers, keys

from soonest.gateway.ui import stream

pytestmark = pytest.mark.slow
SLOTS = 2
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
MARKUP = '<img src="/x" onerror="alert(1)">'


def asked(gateway, body, **headers):
    """An answer, from a thread: the browser's own event loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asking, body, url=gateway.url, **headers).result()


def named(name, tenant):
    return {"X-Request-Id": name, "x-gateway-inference-fairness-id": tenant}


def hinted(tokens, expected):
    hint = [1, expected, 2 * expected]
    return chat(tokens, stream=True, max_tokens=50000, vllm_xargs={"soonest_forecast": hint})


@contextmanager
def busy():
    """A gateway before an engine of two places: two requests run, three wait, two are over; and what ends the two."""
    with fake_engine(step_ms=20, slots=SLOTS) as fake, running(fake.url, ui=True, in_flight=SLOTS) as gateway:
        asked(gateway, hinted(4, 3), **named("over-1", "alice"))
        asked(gateway, chat(1, "status:400"), **named("over-2", "bob"))
        runs = [(hinted(30000, 50), named(f"run-{i}", "alice")) for i in range(SLOTS)]
        waits = [(hinted(5, 10 * i), named(f"wait-{i}", tenant)) for i, tenant in enumerate(("alice", "bob", "bob"), 1)]
        with crowd(gateway.url, *runs) as leave:
            until(lambda: gateway.gateway.dispatcher.places[0].in_flight == SLOTS)
            with crowd(gateway.url, *waits):
                until(lambda: len(gateway.gateway.dispatcher.queue) == len(waits))
                yield gateway, leave


@contextmanager
def keyed():
    """A gateway that wants keys."""
    with fake_engine() as fake, running(fake.url, ui=True, parts={"access": keys()}) as gateway:
        yield gateway


def number(page, name):
    """What stands under this name at the top."""
    return page.locator("#now div", has=page.get_by_text(name, exact=True)).locator("dd")


def row(page, name):
    return page.locator("#rows tr", has=page.get_by_role("button", name=name, exact=True))


def test_it_shows_who_waits_for_what_who_runs_and_who_is_over(tab):
    with busy() as (gateway, _), tab(gateway.url) as page:
        expect(number(page, "Waiting")).to_have_text("3")
        expect(number(page, "Running")).to_have_text("2")
        expect(page.locator("#first")).to_contain_text("waits for a free place")
        expect(page.locator("#tenants tr")).to_have_text([re.compile("^bob2"), re.compile("^alice1")])
        expect(page.locator("#engines li")).to_contain_text("2 in flight, of 2")
        expect(row(page, "wait-1")).to_contain_text("1. a free place")
        expect(row(page, "wait-1")).to_contain_text(re.compile(r"10 \(1.20\)"))
        expect(row(page, "wait-3")).to_contain_text(re.compile("[23]. "))
        expect(row(page, "run-0")).to_contain_text("running")
        expect(row(page, "over-1")).to_contain_text("finished")
        expect(row(page, "over-2")).to_contain_text("failed")
        expect(page.locator("#coverage")).to_contain_text("1 of the last 1 answers had a forecast")
        expect(page.locator("#pairs circle")).to_have_count(1)
        expect(page.locator("#latencies tr")).to_have_count(1)
        expect(page.locator("#replay")).to_contain_text("there is no journal to replay")


def test_it_follows_what_happens_and_holds_still_while_paused(tab):
    with busy() as (gateway, leave), tab(gateway.url) as page:
        before = row(page, "run-0").locator("td").nth(5).inner_text()
        expect(row(page, "run-0").locator("td").nth(5)).not_to_have_text(before)
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status").first).to_have_text("Paused")
        held = page.locator("main").inner_text()
        live = gateway.gateway.live
        leave()
        until(lambda: live.count == 7)
        page.wait_for_timeout(1500)
        assert page.locator("main").inner_text() == held
        page.get_by_role("button", name="Pause").click()
        expect(number(page, "Waiting")).to_have_text("0")
        expect(row(page, "run-0")).to_contain_text("cancelled")
        expect(row(page, "wait-3")).to_contain_text("finished")


def test_the_filters_show_one_tenant_one_engine_or_one_state(tab):
    with busy() as (gateway, _), tab(gateway.url) as page:
        rows = page.locator("#rows tr")
        expect(rows).to_have_count(7)
        page.get_by_role("combobox", name="Tenant").select_option(label="bob")
        expect(rows).to_have_count(3)
        page.get_by_role("combobox", name="State").select_option("waiting")
        expect(rows).to_have_count(2)
        page.get_by_role("combobox", name="Engine").select_option(index=1)
        expect(rows).to_have_count(0)
        expect(page.locator("#count")).to_contain_text("none is as the filters ask")
        page.get_by_role("button", name="Show all").click()
        expect(rows).to_have_count(7)
        page.get_by_role("combobox", name="Engine").select_option(index=1)
        expect(rows).to_have_count(4)
        page.get_by_role("combobox", name="State").select_option("unanswered")
        expect(rows).to_have_count(1)
        page.wait_for_timeout(1200)  # another picture changes nothing of what is asked for
        expect(rows).to_have_count(1)


def test_a_request_is_opened_by_the_keyboard_and_followed_to_its_end(tab):
    with busy() as (gateway, leave), tab(gateway.url) as page:
        button = page.get_by_role("button", name="wait-2", exact=True)
        button.focus()
        page.wait_for_timeout(1500)
        expect(button).to_be_focused()  # though the rows were drawn anew
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Request wait-2")
        expect(dialog).to_contain_text(re.compile("number [23] in line, by rank"))
        expect(dialog).to_contain_text(re.compile(r"Forecast by the client: 20 \(1.40\) tokens"))
        leave()
        expect(dialog).to_contain_text("It is over: finished.")
        events = dialog.locator("li").all_inner_texts()
        words = ["Arrived at", "Forecast", "Queued", "Admitted after", "First token after", "Finished after"]
        assert [event.startswith(word) for event, word in zip(events, words, strict=True)] == [True] * 6
        assert events[-1].endswith("with 5 tokens (stop, HTTP 200).")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(button).to_be_focused()


def test_it_survives_the_gateway_s_restart_and_says_so(tab):
    with fake_engine() as fake, ExitStack() as stack:
        with running(fake.url, ui=True) as gateway:
            asked(gateway, chat(1), **named("before", "alice"))
            page = stack.enter_context(tab(gateway.url))
            expect(row(page, "before")).to_contain_text("finished")
            page.get_by_role("button", name="before", exact=True).click()
            expect(page.get_by_role("dialog")).to_contain_text("Request before")
            page.down, port = True, int(gateway.url.rpartition(":")[2])
        expect(page.locator("#status")).to_have_text(re.compile("^(The gateway stops|No connection)"))
        page.wait_for_timeout(1500)
        gateway = stack.enter_context(running(fake.url, ui=True, port=port))
        asked(gateway, chat(1), **named("after", "alice"))
        expect(page.locator("#status")).to_have_text("Live")
        expect(page.locator("#note")).to_contain_text("The gateway was started anew at")
        expect(page.get_by_role("dialog")).to_contain_text("does not know this request any more")
        page.keyboard.press("Escape")
        expect(row(page, "after")).to_contain_text("finished")
        expect(row(page, "before")).to_have_count(0)


def test_a_page_that_cannot_be_drawn_says_so_and_comes_back(tab, monkeypatch):
    with fake_engine() as fake, running(fake.url, ui=True) as gateway, tab(gateway.url) as page:
        expect(page.locator("#status")).to_have_text("Live")
        monkeypatch.setattr(stream, "picture", lambda *_: 1 / 0)
        expect(page.locator("#status")).to_have_text(re.compile("^The gateway cannot draw this page"))
        page.wait_for_timeout(1500)
        expect(page.locator("#status")).to_have_text(re.compile("^The gateway cannot draw this page"))
        monkeypatch.undo()
        expect(page.locator("#status")).to_have_text("Live")


def test_a_gateway_that_stops_is_said_to_stop(tab):
    with fake_engine() as fake, running(fake.url, ui=True) as gateway, tab(gateway.url) as page:
        expect(page.locator("#status")).to_have_text("Live")
        gateway.call(gateway.gateway.live.stream.end)
        expect(page.locator("#status")).to_have_text("The gateway stops; waiting for it to come back")


def test_a_hidden_tab_does_not_look(tab):
    with fake_engine() as fake, running(fake.url, ui=True) as gateway, tab(gateway.url) as page:
        expect(page.locator("#status")).to_have_text("Live")
        stream = gateway.gateway.live.stream
        for hidden, viewers in ((True, 0), (False, 1)):
            page.evaluate(HIDE, hidden)
            until(lambda viewers=viewers: stream.viewers == viewers)
        expect(page.locator("#status")).to_have_text("Live")


def test_it_asks_for_a_key_and_keeps_it_in_the_tab_alone(tab):
    with (
        fake_engine() as fake,
        running(fake.url, ui=True, parts={"access": keys()}) as gateway,
        tab(gateway.url) as page,
    ):
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        assert [asked for asked in page.asked if "events" in asked] == [], "it does not even try"
        field.fill(MAY_NOT)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("needs `ui = true` in the key file")
        assert [error for error in page.errors if "403" not in error] == []
        page.errors.clear()
        field.fill(MAY)
        page.get_by_role("button", name="Look").click()
        expect(number(page, "Waiting")).to_have_text("0")
        page.reload()
        expect(page.locator("#status")).to_have_text("Live")
        assert MAY not in page.url
        assert not any(MAY in asked for asked in page.asked)
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        page.get_by_role("button", name="Forget the key").click()
        expect(field).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        for hidden in (True, False):
            page.evaluate(HIDE, hidden)
        page.wait_for_timeout(1500)
        expect(page.locator("#shown")).to_be_hidden()
        assert gateway.gateway.live.stream.viewers == 0


def test_when_the_key_is_withdrawn_nothing_of_what_was_shown_stays(tab):
    held = keys()
    with (
        fake_engine() as fake,
        running(fake.url, ui=True, parts={"access": held}) as gateway,
        tab(gateway.url) as page,
    ):
        asked(gateway, chat(1), Authorization=f"Bearer {MAY}", **named("my-request", ""))
        field = page.get_by_label("API key")
        for withdrawn in (True, False):
            field.fill(MAY)
            page.keyboard.press("Enter")
            expect(row(page, "my-request")).to_contain_text("finished")
            if withdrawn:
                page.get_by_role("button", name="my-request", exact=True).click()
                expect(page.get_by_role("dialog")).to_contain_text("Request my-request")
                gateway.gateway.access = customers()
            else:
                page.get_by_role("button", name="Forget the key").click()
            expect(field).to_be_focused()
            expect(page.get_by_role("dialog")).to_have_count(0)
            left = page.content()
            assert [word for word in ("my-request", "operator", fake.url.partition("//")[2]) if word in left] == []
            gateway.gateway.access = held
            assert [error for error in page.errors if "401" not in error] == []
            page.errors.clear()


def test_what_clients_call_themselves_is_text(tab):
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        asked(gateway, chat(1, model=MARKUP), **named(MARKUP, MARKUP))
        with tab(gateway.url) as page:
            expect(page.locator("#rows td.wide").first).to_have_text(MARKUP)
            page.get_by_role("button", name=MARKUP).click()
            expect(page.get_by_role("dialog")).to_contain_text(f"Request {MARKUP}")
            assert page.locator("img").count() == 0


def violations(page):
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["desk", "phone"])
def test_axe_finds_nothing_to_mend(tab, size, scheme):
    with busy() as (gateway, _), tab(gateway.url, size, scheme) as page:
        expect(row(page, "wait-1")).to_be_visible()
        assert violations(page) == []
        page.get_by_role("button", name="run-0", exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text("First token after")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "nothing is cut off at the side"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_mend_where_a_key_is_asked_for(tab, scheme):
    with keyed() as gateway, tab(gateway.url, NARROW, scheme) as page:
        expect(page.get_by_label("API key")).to_be_visible()
        assert violations(page) == []


def test_all_of_it_is_reached_by_the_keyboard_and_the_focus_is_seen(tab):
    with busy() as (gateway, _), tab(gateway.url) as page:
        expect(row(page, "wait-1")).to_be_visible()
        page.get_by_role("button", name="Pause").click()  # or rows come while we walk
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            name, seen = page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.id || e.textContent, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2] }"
            )
            assert seen, name
            reached.append(name)
        assert {"by-tenant", "by-engine", "by-state", "Show all", "wait-1", "run-0", "over-1"} <= set(reached)
