"""Clients of tenants that ask and write without pause, and what they saw; and the policy as each coordinator has it."""

import contextlib
import random
import threading
import time

import adbc_driver_flightsql.dbapi as flight
from adbc_driver_flightsql import DatabaseOptions
from plane import get

# Seconds that a statement may take, its further tries included.
LIMIT = 60
# How a driver tells that its server is gone; whatever else it tells is a failure.
GONE = ("transport", "connection", "EOF", "refused", "Unavailable: error reading")


def connect(url, shown):
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {shown}"}
    for option in (DatabaseOptions.TIMEOUT_FETCH, DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_UPDATE):
        options[option.value] = str(LIMIT)
    return flight.connect(url, autocommit=True, db_kwargs=options)


def ask_once(url, shown, sql):
    with connect(url, shown) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


class Client:
    """Shows what `shown` gives at each new session, and goes to another coordinator where its own is gone."""

    def __init__(self, urls, shown, chance):
        self.urls, self.shown, self.chance = urls, shown, chance
        self.connection, self.moved, self.sessions = None, 0, 0

    def ask(self, sql):
        last = time.monotonic() + LIMIT
        while True:
            try:
                if self.connection is None:
                    self.connection = connect(self.chance.choice(self.urls), self.shown())
                    self.sessions += 1
                with self.connection.cursor() as cursor:
                    cursor.execute(sql)
                    return cursor.fetchall()
            except Exception as error:
                self.leave()
                if time.monotonic() > last or not any(word in str(error) for word in GONE):
                    raise
                self.moved += 1
                time.sleep(0.05)

    def leave(self):
        with contextlib.suppress(Exception):
            if self.connection is not None:
                self.connection.close()
        self.connection = None


class Load:
    """For each `(name, tenant, shown)` of `callers` a client that reads, and one that writes."""

    def __init__(self, urls, callers, rows, pause, seed):
        self.urls, self.rows, self.pause, self.stopped = urls, rows, pause, False
        self.lock, self.reads, self.slowest = threading.Lock(), 0, 0.0
        self.failures, self.acknowledged = [], {tenant: set() for _, tenant, _ in callers}
        self.clients, self.by_caller = [], {}
        self.threads = []
        for number, caller in enumerate(callers):
            for work in (self.read, self.write):
                client = Client(urls, caller[2], random.Random(f"{seed} {number} {work.__name__}"))
                self.clients.append(client)
                self.threads.append(threading.Thread(target=work, args=(client, number, *caller[:2]), daemon=True))
        for thread in self.threads:
            thread.start()

    def fail(self, what):
        with self.lock:
            self.failures.append(f"{time.strftime('%X')} {what}"[:400])

    def read(self, client, number, name, tenant):
        turn = 0
        while not self.stopped:
            turn += 1
            # A session now and then, so that who calls is verified anew.
            if turn % 20 == 0:
                client.leave()
            begun = time.monotonic()
            sql = f"SELECT count(*), sum(i), min(owner), max(owner), {turn % 50} FROM item WHERE i <= {self.rows}"
            try:
                row = [tuple(map(str, row)) for row in client.ask(sql)][0]
            except Exception as error:
                self.fail(f"{name}: {error}")
                time.sleep(1)
                continue
            expected = (str(self.rows), str(self.rows * (self.rows + 1) // 2), tenant, tenant, str(turn % 50))
            if row != expected:
                self.fail(f"{name}: {row} and not {expected}")
            with self.lock:
                self.reads += 1
                self.by_caller[name] = self.by_caller.get(name, 0) + 1
                self.slowest = max(self.slowest, time.monotonic() - begun)
            time.sleep(self.pause)

    def write(self, client, number, name, tenant):
        turn = 0
        while not self.stopped:
            turn += 1
            # Tokens of a provider are good for two minutes: sessions are begun anew before.
            if turn % 5 == 0:
                client.leave()
            row = number * 1_000_000 + turn
            try:
                client.ask(f"INSERT INTO serial VALUES ({row})")
            except Exception as error:
                self.fail(f"{name} writes: {error}")
                time.sleep(1)
                continue
            with self.lock:
                self.acknowledged[tenant].add(row)
            for _ in range(20):
                if not self.stopped:
                    time.sleep(self.pause)

    def stop(self):
        """Waits for all; those that do not end are failures."""
        self.stopped = True
        last = time.monotonic() + LIMIT + 10
        for thread in self.threads:
            thread.join(max(0.0, last - time.monotonic()))
            if thread.is_alive():
                self.fail("a client hangs")
        for client in self.clients:
            client.leave()

    def figures(self):
        writes = sum(map(len, self.acknowledged.values()))
        return {"clients": len(self.clients), "queries": self.reads, "writes": writes,
                "sessions": sum(client.sessions for client in self.clients),
                "moved_to_another_coordinator": sum(client.moved for client in self.clients),
                "slowest_query_seconds": round(self.slowest, 2), "queries_of": dict(sorted(self.by_caller.items()))}


class Versions:
    """Looks all the while at the policy of every coordinator: versions of a name must never go back."""

    def __init__(self, urls):
        self.urls, self.last, self.back, self.looks = urls, {url: {} for url in urls}, [], 0
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while True:
            for url in self.urls:
                try:
                    documents = get(f"{url}/api/v1/policy")["documents"]
                except OSError:
                    continue
                now = {document["name"]: document["version"] for document in documents}
                for name, version in self.last[url].items():
                    if now.get(name, 0) < version:
                        self.back.append(f"{url} has '{name}' of version {now.get(name)} after {version}")
                self.last[url] = now
                self.looks += 1
            time.sleep(0.25)
