"""A producer for the auditor, with nothing but Python's standard library.

    audit = AuditLog("http://127.0.0.1:8080", source="/shop", spool="audit.spool")
    audit.view("user:ann", "document:7")
    audit.create("user:ann", "document:7", title="Plan")
    audit.update("user:ann", "document:7", title=("Plan", "Plan B"))
    audit.delete("user:ann", "document:7")

A call only puts the entry into a queue in memory, so that it never waits for the auditor. A thread sends. While the auditor cannot be
reached, it tries again. When the queue is full, entries go to the spool, a file, from which they are sent later. Without a spool, or
when that is full too, they are dropped, which is counted and logged.

Each entry has an id of its own, so that the auditor keeps it once, however often it is sent.
"""

import collections
import datetime
import http.client
import itertools
import json
import logging
import os
import threading
import time
import urllib.parse
import uuid

LOG = logging.getLogger("audit_log")


class Unreachable(Exception):
    """The auditor cannot be reached, or cannot take entries now."""


class Refused(Exception):
    """The auditor does not take this entry, however often it is sent."""


class Http:
    """Sends entries to the auditor over HTTP, with one connection."""

    def __init__(self, url, producer="service:python", token=None, timeout=10):
        self.url = urllib.parse.urlsplit(url)
        self.path = self.url.path.rstrip("/") + "/intakes/entries/messages"
        self.headers = {"Content-Type": "application/cloudevents+json"}
        # Without a token, the auditor believes the programs of its own machine.
        self.headers.update({"Authorization": f"Bearer {token}"} if token else {"Annals-Actor": producer})
        self.timeout = timeout
        self.connection = None

    def send(self, entries):
        """Sends entries in their order. Yields each one that the auditor has, so that nothing is lost if it fails in the middle."""
        for entry in entries:
            status, answer = self.request(entry.encode())
            if status in (400, 409, 413, 415, 422):
                yield entry, Refused(f"{status} {answer[:300]}")
            elif status != 200:
                raise Unreachable(f"{status} {answer[:300]}")
            else:
                yield entry, None

    def request(self, body):
        try:
            if self.connection is None:
                kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
                self.connection = kind(self.url.hostname, self.url.port, timeout=self.timeout)
            self.connection.request("POST", self.path, body, self.headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class AuditLog:
    """Says who viewed, created, updated and deleted what. `actor` and `target` are references, like `user:ann` and `document:7`."""

    def __init__(self, url, source, queue=10_000, spool=None, spool_bytes=64 << 20, transport=None):
        self.source = source
        self.most = queue
        self.spool, self.spool_bytes = spool, spool_bytes
        self.transport = transport or Http(url)
        self.changed = threading.Condition()
        self.waiting = collections.deque()
        # Entries of the spool that are sent now. Their file goes when all of them are sent: if this process ends before, they are sent
        # again, which changes nothing.
        self.backlog = collections.deque()
        self.taken = None
        # Once an entry is in the spool, later ones follow it there, so that they keep their order.
        self.spooling = spool is not None and (os.path.exists(spool) or os.path.exists(spool + ".taken"))
        self.ending = None
        self.closing = threading.Event()
        self.reachable = True
        self.sent = self.refused = self.dropped = self.spooled = 0
        self.thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self.thread.start()

    # The four verbs.

    def view(self, actor, target):
        self._put("data.viewed", actor, target, {})

    def create(self, actor, target, **fields):
        self._put("data.created", actor, target, {name: {"to": value} for name, value in fields.items()})

    def update(self, actor, target, **changes):
        self._put("data.updated", actor, target, {name: {"from": old, "to": new} for name, (old, new) in changes.items()})

    def delete(self, actor, target):
        self._put("data.deleted", actor, target, {})

    def close(self, timeout=5):
        """Sends what is left, for at most so many seconds. The rest goes to the spool."""
        with self.changed:
            self.ending = time.monotonic() + timeout
            self.closing.set()
            self.changed.notify()
        self.thread.join(timeout + 20)

    def _put(self, kind, actor, target, changes):
        entry = json.dumps({
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": self.source,
            "type": kind,
            "subject": target,
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "data": {"actor": actor, "target": target, "changes": changes},
        })
        with self.changed:
            if self.spooling or len(self.waiting) >= self.most:
                self._keep([entry])
            else:
                self.waiting.append(entry)
                self.changed.notify()

    def _keep(self, entries):
        """Writes entries to the spool, as far as it has room. The caller has the lock."""
        kept = 0
        if self.spool is not None:
            try:
                with open(self.spool, "a", encoding="utf-8") as file:
                    for entry in entries:
                        if file.tell() + len(entry) >= self.spool_bytes:
                            break
                        file.write(entry + "\n")
                        kept += 1
                self.spooling = True
            except OSError as error:
                LOG.error("the spool cannot be written: %s", error)
                kept = 0
        self.spooled += kept
        self._drop(len(entries) - kept)

    def _keep_first(self, entries):
        """Writes entries before those of the spool, which are newer. The caller has the lock."""
        if self.spool is None:
            return self._drop(len(entries))
        try:
            newer = ""
            if os.path.exists(self.spool):
                with open(self.spool, encoding="utf-8") as file:
                    newer = file.read()
            with open(self.spool + ".new", "w", encoding="utf-8") as file:
                file.writelines(entry + "\n" for entry in entries)
                file.write(newer)
            os.replace(self.spool + ".new", self.spool)
            self.spooled += len(entries)
        except OSError as error:
            LOG.error("the spool cannot be written: %s", error)
            self._drop(len(entries))

    def _drop(self, count):
        for _ in range(count):
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1_000 == 0:
                LOG.error("%s audit entries were dropped: the queue is full, and so is the spool, or there is none", self.dropped)

    # The thread.

    def _run(self):
        delay = 0.05
        while (queue := self._next()) is not None:
            if self._send(queue):
                delay = 0.05
                continue
            # New entries do not end the delay, but the end of the program does; then it tries faster.
            if self.closing.wait(delay):
                time.sleep(0.05)
            delay = min(delay * 2, 5)
        with self.changed:
            if self.waiting:
                LOG.warning("%s audit entries could not be sent before the end", len(self.waiting))
                self._keep_first(list(self.waiting))
                self.waiting.clear()
        self.transport.close()

    def _next(self):
        """Waits until there is something to send. Returns the queue that has it, or None at the end."""
        with self.changed:
            while True:
                if self.ending is not None and time.monotonic() > self.ending:
                    return None
                if self.backlog:
                    return self.backlog
                if self.taken is not None:
                    os.remove(self.taken)
                    self.taken = None
                if self.waiting:
                    return self.waiting
                if self.spooling:
                    self._load()
                    continue
                if self.ending is not None:
                    return None
                self.changed.wait()

    def _load(self):
        """Takes the entries of the spool. The caller has the lock."""
        taken = self.spool + ".taken"
        try:
            if not os.path.exists(taken):
                os.replace(self.spool, taken)
            with open(taken, encoding="utf-8") as file:
                # A last line without its end was cut off by a kill.
                self.backlog.extend(line.rstrip("\n") for line in file if line.endswith("}\n"))
            self.taken = taken
        except OSError as error:
            LOG.error("the spool cannot be read: %s", error)
        self.spooling = self.taken is not None and os.path.exists(self.spool)

    def _send(self, queue):
        """Sends entries, and takes those that the auditor has out of the queue. Returns whether it can be reached."""
        batch = list(itertools.islice(queue, 500))
        try:
            for entry, refusal in self.transport.send(batch):
                if refusal is None:
                    self.sent += 1
                else:
                    self.refused += 1
                    LOG.error("an audit entry was refused: %s: %s", refusal, entry)
                with self.changed:
                    queue.popleft()
                if not self.reachable:
                    LOG.warning("entries are sent again")
                self.reachable = True
            return True
        except Unreachable as error:
            if self.reachable:
                LOG.warning("entries cannot be sent, and are kept: %s", error)
            self.reachable = False
            return False
