"""Narrows an access token with the biscuit implementation for Python, and asks the server: tests/http/access_tokens.rs runs it.

Usage: narrow-token.py URL TOKEN
"""

import datetime
import json
import sys
import urllib.error
import urllib.request

from biscuit_auth import Biscuit, BlockBuilder, PublicKey

url, token = sys.argv[1:]


def ask(method, path, token=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


_, listed = ask("GET", "/access/keys")
keys = {key["id"]: PublicKey(key["key"]) for key in listed["keys"]}


def narrowed(token, code, **parameters):
    holder = Biscuit.from_base64(token, lambda key: keys[key])
    return holder.append(BlockBuilder(code, parameters)).to_base64()


deposit = {"account": "a", "cents": 1}
soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
past = soon - datetime.timedelta(minutes=10)
target = "account%3Aa"
tried = [
    ("check if method({m})", {"m": "GET"}, [("GET", "/audit", None, 200), ("POST", "/commands/deposit", deposit, 403)]),
    ("check if method($m), $m == {m}", {"m": "POST"}, [("POST", "/commands/deposit", deposit, 200), ("GET", "/audit", None, 403)]),
    ("check if path($p), $p.starts_with({p})", {"p": "/audit/"}, [("GET", "/audit/count", None, 200), ("GET", "/audit", None, 403)]),
    ("check if target({t})", {"t": target}, [("POST", "/commands/deposit", deposit, 200), ("POST", "/commands/deposit", deposit | {"account": "b"}, 403)]),
    ("check if observe(false)", {}, [("GET", "/audit", None, 200), ("GET", "/live/audit", None, 403)]),
    ("check if time($t), $t < {t}", {"t": soon}, [("GET", "/audit", None, 200)]),
    ("check if time($t), $t < {t}", {"t": past}, [("GET", "/audit", None, 401)]),
    ("fact(1); check if fact($a), fact($b)", {}, [("GET", "/audit", None, 401)]),
]
for code, parameters, requests in tried:
    text = narrowed(token, code, **parameters)
    for method, path, body, expected in requests:
        status, answer = ask(method, path, text, body)
        assert status == expected, (code, method, path, status, answer)
# Narrowed twice: both blocks count.
twice = narrowed(narrowed(token, "check if method({m})", m="GET"), "check if path({p})", p="/audit")
assert ask("GET", "/audit", twice)[0] == 200
assert ask("GET", "/audit/count", twice)[0] == 403
print(f"biscuit-python narrowed {len(tried)} tokens")
