"""The shop from outside, with pytest and nothing of emu's:

    emu exec --clock manual --seed 7 -- pytest tests
"""

import json
import os
import urllib.error
import urllib.request

URL = os.environ["EMU_URL"]
CONTROL = os.environ["EMU_CONTROL_URL"]


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def clock(**move):
    return call(f"{CONTROL}/_emu/clock", move)


def setup_function():
    """Each test begins with an empty shop, at the same instant, with the same randomness."""
    call(f"{CONTROL}/_emu/reset", {})


def order(card, quantity=2):
    body = {"card": card, "items": [{"product": "mug", "quantity": quantity}]}
    return call(f"{URL}/orders", body)


def test_an_order_is_charged_and_leaves_the_shelf():
    before = call(f"{URL}/stock")["mug"]
    assert order("4242")["status"] == "accepted"
    happened = clock(run_until_idle=True)
    assert happened["invocations"]["billing"]["ran"] >= 1
    assert happened["dead_letters"] == 0
    assert call(f"{URL}/stock")["mug"] == before - 2


def test_a_declined_card_is_tried_three_times_and_put_aside():
    order("0002")
    happened = clock(run_until_idle=True)
    assert happened["invocations"]["billing"]["ran"] == 3
    assert happened["dead_letters"] == 1
    # Three visibility timeouts of two seconds, which took no time.
    assert happened["now"].startswith("2026-01-01T00:00:06")
    assert call(f"{CONTROL}/_emu/queues/orders-dead")["visible"] == 1


def test_the_report_runs_every_five_minutes():
    happened = clock(advance="1d")
    assert happened["invocations"]["report"] == {"ran": 288, "failed": 0}


def test_an_order_without_items_is_refused():
    try:
        order("4242", quantity=0)
    except urllib.error.HTTPError as error:
        assert error.code == 400
    else:
        raise AssertionError("it was accepted")
