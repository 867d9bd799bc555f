"""Reads the audit log of a served application by three protocols, with reconnects, and compares the rows."""

import asyncio
import http.client
import json
import sys
from urllib.parse import urlencode

import websockets


async def by_websocket(address: str, rows: int) -> list[tuple[str, int]]:
    """Subscribes from the last cursor, with a new connection every seven rows."""
    seen: list[tuple[str, int]] = []
    while len(seen) < rows:
        async with websockets.connect(f"ws://{address}/live", proxy=None) as socket:
            params = {"cursor": seen[-1][0]} if seen else {}
            call = {"jsonrpc": "2.0", "id": "a", "method": "subscribe_audit", "params": params}
            await socket.send(json.dumps(call))
            answer = json.loads(await socket.recv())
            assert answer["jsonrpc"] == "2.0" and answer["id"] == "a", answer
            for _ in range(min(7, rows - len(seen))):
                message = json.loads(await socket.recv())
                assert message["method"] == "audit", message
                assert message["params"]["subscription"] == answer["result"], message
                result = message["params"]["result"]
                seen.append((result["cursor"], result["row"]["position"]))
            await socket.send(json.dumps([{"jsonrpc": "2.0", "method": "unsubscribe", "id": 2,
                                           "params": [answer["result"]]}]))
            while "method" in (last := json.loads(await socket.recv())):
                pass
            assert last == [{"jsonrpc": "2.0", "result": True, "id": 2}], last
    return seen


def by_events(address: str, rows: int) -> list[tuple[str, int]]:
    """Like a browser: five rows per connection, then reconnects with the id of the last event."""
    seen: list[tuple[str, int]] = []
    while len(seen) < rows:
        connection = http.client.HTTPConnection(address, timeout=60)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": seen[-1][0]} if seen else {})
        connection.request("GET", "/live/audit", headers=headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        event: dict[str, str] = {}
        taken = 0
        while taken < 5 and len(seen) < rows:
            line = response.readline().decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(":")
                event[name] = value.removeprefix(" ")
                continue
            if event.get("event") == "row":
                seen.append((event["id"], json.loads(event["data"])["position"]))
                taken += 1
            event = {}
        connection.close()
    return seen


def by_pages(address: str, rows: int) -> list[tuple[str, int]]:
    """Pages of one row, so that each row has a cursor."""
    seen: list[tuple[str, int]] = []
    connection = http.client.HTTPConnection(address, timeout=60)
    while len(seen) < rows:
        params = {"limit": 1} | ({"cursor": seen[-1][0]} if seen else {})
        connection.request("GET", "/audit?" + urlencode(params))
        response = connection.getresponse()
        page = json.loads(response.read())
        assert response.status == 200, page
        if page["rows"] and page["next"]:
            seen.append((page["next"], page["rows"][0]["position"]))
    connection.close()
    return seen


async def main(address: str, rows: int) -> None:
    readers = [
        by_websocket(address, rows),
        asyncio.to_thread(by_events, address, rows),
        asyncio.to_thread(by_pages, address, rows),
    ]
    sockets, events, pages = await asyncio.gather(*readers)
    assert [position for _, position in sockets] == list(range(1, rows + 1)), sockets
    assert sockets == events == pages, "the protocols returned different rows"
    print(f"ok: {rows} rows, the same by three protocols")


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
