"""A program that does something, and says so to the auditor: a shop whose users work with documents.

    python3 shop.py --url http://127.0.0.1:8080
    python3 shop.py --url amqp://guest:guest@127.0.0.1:5672/%2f        # needs pika

At the end it prints how long a call took at most, and what became of the entries.
"""

import argparse
import json
import logging
import time

from audit_log import AuditLog, Http


def work(audit, user, document, number):
    """What a user does with a document: each of the four verbs is one line."""
    match number % 4:
        case 0:
            audit.create(user, document, title=f"Plan {number}", pages=1)
        case 1:
            audit.view(user, document)
        case 2:
            audit.update(user, document, title=(f"Plan {number}", f"Plan {number}, revised"), pages=(1, 2))
        case 3:
            audit.delete(user, document)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--url", default="http://127.0.0.1:8080")
    options.add_argument("--count", type=int, default=100, help="how many things are done")
    options.add_argument("--every", type=float, default=0.01, help="seconds between two of them")
    options.add_argument("--queue", type=int, default=10_000, help="entries that wait in memory")
    options.add_argument("--spool", help="file for entries that do not fit into memory")
    options.add_argument("--patience", type=float, default=60, help="seconds to send what is left at the end")
    chosen = options.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # It repeats each failure in many lines.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    if chosen.url.startswith("amqp"):
        from audit_log_amqp import Amqp

        transport = Amqp(chosen.url)
    else:
        transport = Http(chosen.url, producer="service:shop")
    audit = AuditLog(chosen.url, "/shop", queue=chosen.queue, spool=chosen.spool, transport=transport)
    slowest = 0
    for number in range(chosen.count):
        began = time.perf_counter()
        work(audit, f"user:{['ann', 'bob', 'eve'][number % 3]}", f"document:{number % 5}", number)
        slowest = max(slowest, time.perf_counter() - began)
        time.sleep(chosen.every)
    audit.close(chosen.patience)
    counts = {name: getattr(audit, name) for name in ("sent", "refused", "dropped", "spooled")}
    print(json.dumps({"calls": chosen.count, "slowest_ms": round(slowest * 1_000, 3), **counts}), flush=True)


if __name__ == "__main__":
    main()
