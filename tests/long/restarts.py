"""Rolling restarts: nobody who comes through a proxy notices."""

import os
import threading
import time
import uuid

from clients import Book, Client
from processes import wait
from reckoning import Reckoning
from service import Nginx

REQUESTS = int(os.environ.get("ENLIST_LONG_REQUESTS", "40000"))
RESTARTS, CLIENTS = 12, 8


def play_restarts(town):
    nginx, wrong = Nginx(), False
    nginx.begin()
    for proxy in (nginx, town.proxy):
        wrong = through(town, proxy) or wrong
    nginx.stop()
    return wrong


def through(town, proxy):
    book, begin, restarted = Book(f"restarts {proxy.name}"), time.monotonic(), []

    def ask():
        client, turn = Client(proxy.port, town.key, book), 0
        while len(book.asked) < REQUESTS or len(restarted) < RESTARTS:
            turn += 1
            if turn % 20:
                status, _ = client.once("list", "GET", "/groups?limit=1")
            else:
                name = f"restart {uuid.uuid4().hex}"
                status, made = client.once("write", "POST", "/groups", {"name": name}, uuid.uuid4().hex, True)
                if status == 201:
                    book.groups[made["id"]] = name
            if status not in (200, 201):
                time.sleep(0.05)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for number in range(RESTARTS):
        # Spread over all of them.
        wait("requests", 300, lambda: len(book.asked) >= REQUESTS * (number + 0.5) / RESTARTS)
        instance = town.instances[number % 2]
        took = instance.stop()
        instance.begin()
        restarted.append(took)
    for thread in threads:
        thread.join()
    lost = Reckoning(town).lost(book)
    bad = [asked for asked in book.asked if asked.failed() or asked.status >= 400]
    kinds = ", ".join(sorted({f"{asked.kind} {asked.status} {asked.detail}" for asked in bad}))
    print(f"{proxy.name}: {len(book.asked)} requests, {len(restarted)} restarts, {len(bad)} failed{kinds and ': '}{kinds}; "
          f"of {len(book.groups)} groups {len(lost)} are lost; an end took {max(restarted):.1f} s at most, all of it {time.monotonic() - begin:.0f} s", flush=True)
    return bool(bad or lost)
