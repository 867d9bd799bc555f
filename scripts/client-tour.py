"""The README's tour by the client that openapi-python-client generates: scripts/check-openapi runs it.

Usage: client-tour.py URL [TOKEN]
"""

import sys
import uuid

from client import AuthenticatedClient, Client
from client.api.audit import count_audit, export_audit, query_audit
from client.api.commands import execute_add_member, execute_create_project, list_commands
from client.api.log import check_log, list_events
from client.api.metrics import metrics, metrics_of_topic
from client.api.projections import get_projection, list_projections, rebuild_projection
from client.api.views import get_document, list_documents
from client.models import AddMember, CreateProject, Format, Problem, Receipt

url, *token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token[0]) if token else Client(base_url=url)


def after(receipt):
    return f"{receipt.head.position}:{receipt.head.event_id}"


def equal(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


project = CreateProject(project="7", name="Vaccines")
key = str(uuid.uuid4())
receipt = execute_create_project.sync(client=client, body=project, idempotency_key=key)
assert isinstance(receipt, Receipt), receipt
again = execute_create_project.sync(client=client, body=project, idempotency_key=key)
equal((again.repeated, again.head), (True, receipt.head))
member = AddMember.from_dict({"project": "7", "user": "bob", "roles": ["developer"]})
receipt = execute_add_member.sync(client=client, body=member)
refused = execute_add_member.sync(client=client, body=member)
assert isinstance(refused, Problem), refused
equal((refused.status, refused.type_), (422, "urn:annals:refused"))

page = query_audit.sync(client=client, target=["project:7"], after=after(receipt))
equal([row.sentence for row in page.rows], [
    "user:alice created project:7, called Vaccines",
    "user:alice added user:bob to project:7 as developer",
])
equal([row.actor for row in page.rows], ["user:alice", "user:alice"])
first = query_audit.sync(client=client, limit=1)
rest = query_audit.sync(client=client, limit=1, cursor=first.next_)
equal([row.position for row in first.rows + rest.rows], [1, 2])
equal(count_audit.sync(client=client).events, 2)
equal(metrics_of_topic.sync("project/member", client=client, after=after(receipt)).total, 1)
equal(metrics.sync(client=client).total, 2)
roster = get_document.sync("roster", "7", client=client, after=after(receipt))
equal((roster["name"], list(roster["members"])), ("Vaccines", ["user:bob"]))
equal([document.key for document in list_documents.sync("roster", client=client).documents], ["7"])
missing = get_document.sync("roster", "8", client=client)
equal(missing.status, 404)

equal([event.position for event in list_events.sync(client=client).events], [1, 2])
assert "add_member" in [command.name for command in list_commands.sync(client=client)]
names = [projection.name for projection in list_projections.sync(client=client)]
assert {"audit", "metrics", "roster"} <= set(names), names
equal(get_projection.sync("roster", client=client).head, 2)
rebuilt = rebuild_projection.sync("roster", client=client)
equal((rebuilt.done, rebuilt.position), (True, 2))
checked = check_log.sync(client=client)
equal((checked.done, checked.result.findings), (True, []))
# This generator reads a response with several media types as the first of them, JSON: the others by the client's own requests.
for format_ in (Format.CLOUDEVENTS, Format.OCEL):
    exported = export_audit.sync_detailed(client=client, format_=format_)
    equal(exported.status_code, 200)
    assert b"Vaccines" in exported.content, format_
for format_ in (Format.CSV, Format.JSONL):
    exported = client.get_httpx_client().get("/audit/export", params={"format": format_.value})
    equal(exported.status_code, 200)
    assert "Vaccines" in exported.text, format_
print(f"the generated client did the tour at {url}")
