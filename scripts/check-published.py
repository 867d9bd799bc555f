"""Reads what scripts/check-published has written to a folder, and what the server publishes, by parsers of others.

Usage: check-published.py URL FOLDER
"""

import csv
import json
import re
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families

url, folder = sys.argv[1], Path(sys.argv[2])

# RFC 9457, appendix A.
PROBLEM = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
    },
}


def ask(method, path, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url + path, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()


def metrics():
    # A request is counted when its response has begun: the first one is not in its own response.
    ask("GET", "/metrics")
    status, headers, text = ask("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0"), headers
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, kind in [
        ("annals_http_requests", "counter"),
        ("annals_http_request_duration_seconds", "histogram"),
        ("annals_append_duration_seconds", "histogram"),
        ("annals_commands_executed", "counter"),
        ("annals_log_position", "gauge"),
        ("annals_projection_lag_events", "gauge"),
    ]:
        assert families[name].type == kind, (name, families[name].type)
        assert families[name].documentation, name
    assert families["annals_log_position"].samples[0].value == 3
    # They are published only by an application with reactions.
    of_reactions = [family for name, family in families.items() if name.startswith("annals_reaction_")]
    for family in of_reactions:
        kind = "counter" if family.name == "annals_reaction_failures" else "gauge"
        assert family.type == kind and family.documentation, (family.name, family.type)
        assert all("reaction" in sample.labels for sample in family.samples), family
    return f"{len(families)} metrics"


def problems():
    schema = json.loads(ask("GET", "/openapi.json")[2])
    declared = {"$ref": "#/components/schemas/Problem", "components": schema["components"]}
    json_body = {"Content_Type": "application/json"}
    command = "/commands/add_member"
    member = json.dumps({"project": "7", "user": "bob", "roles": ["developer"]}).encode()
    cases = [
        (400, "GET", "/audit?limit=-1", None, {}),
        (400, "GET", "/audit?actr=user:a", None, {}),
        (400, "POST", command, b"{", json_body),
        (400, "POST", command, b"{}", json_body),
        (400, "POST", command, member, {"Idempotency_Key": "1", **json_body}),
        (404, "GET", "/nothing", None, {}),
        (404, "GET", "/views/roster/99", None, {}),
        (405, "PUT", "/audit", None, {}),
        (409, "POST", "/projections/audit/skip", None, {}),
        (412, "POST", command, member, {"If_Match": '"1"', **json_body}),
        (413, "POST", command, b"{", {"Content_Length": "2000000", **json_body}),
        (415, "POST", command, member, {"Content_Type": "text/plain"}),
        (421, "GET", "/audit", None, {"Host": "example.org"}),
        (422, "POST", command, member, json_body),
        (426, "GET", "/live", None, {}),
    ]
    for expected, method, path, body, headers in cases:
        status, answer, text = ask(method, path, body, **headers)
        problem = json.loads(text)
        assert status == expected == problem["status"], (path, status, text)
        assert answer["Content-Type"] == "application/problem+json", (path, answer)
        for one in (PROBLEM, declared):
            jsonschema.validate(problem, one, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker())
        # No member that the document does not describe.
        unknown = problem.keys() - schema["components"]["schemas"]["Problem"]["properties"].keys()
        assert not unknown, (path, unknown)
        assert re.fullmatch(r"urn:annals:[a-z-]+", problem["type"]) and problem["title"] and problem["detail"], problem
    return f"{len(cases)} problems"


def tables():
    read = lambda path: list(csv.reader(open(path, newline="", encoding="utf-8"), strict=True))
    for name, rows in [("audit", 4), ("export", 5), ("counts", 5)]:
        table, sheet = read(folder / f"{name}.csv"), read(folder / f"{name}.sheet.csv")
        assert len(table) == len(sheet) >= rows, (name, table)
        header = table[0]
        for line, (cells, shown) in enumerate(zip(table, sheet)):
            assert len(cells) == len(shown) == len(header), f"{name} has other columns in a spreadsheet: {shown}"
            for column, cell, seen in zip(header, cells, shown):
                # A spreadsheet shows a time in its own format, and a text that is not a formula without the mark.
                same = cell == seen or column.endswith("_at") or cell == "'" + seen
                assert same, f"{name}, row {line}, {column}: {cell!r} is {seen!r} in a spreadsheet"
    table = read(folder / "export.csv")
    sentences = [row[table[0].index("sentence")] for row in table]
    assert any('"quoted"' in sentence and "日本" in sentence for sentence in sentences), sentences
    return "3 tables"


def events():
    batch = json.loads((folder / "export.cloudevents").read_text())
    for event in batch:
        parsed = JSONFormat().read(CloudEvent, json.dumps(event))
        assert parsed.get_id() == event["id"] and parsed.get_time() is not None, event
    assert len(batch) >= 3, batch
    lines = (folder / "export.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) >= 3
    return f"{len(batch)} CloudEvents"


def pictures():
    for text in ((folder / "plot.svg").read_text(), (folder / "provenance.svg").read_bytes(), icon()):
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and len(root), root.tag
    with Image.open(folder / "plot.png") as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 100, picture
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 2, "the plot is empty"
    return "2 SVG, 1 PNG"


def icon():
    page = ask("GET", "/")[2]
    return ask("GET", re.search(r'rel="icon"[^>]*href="([^"]+)"', page)[1])[2]


for check in (metrics, problems, tables, events, pictures):
    print(f"{check.__name__}: {check()}", flush=True)
