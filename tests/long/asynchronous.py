"""A failover while replication is not synchronous: what was acknowledged last is lost, and the service says so."""

import signal
import time
import uuid

from clients import Book, Client
from processes import wait
from reckoning import Reckoning

# So long nothing is replicated before the primary is gone.
BEHIND = 5
TOLD = ("another server became the database's primary", "the audit log's chain no longer has this end")


def play_asynchronous(town):
    cluster, book, complaints = town.cluster, Book("asynchronous"), []
    cluster.heal()
    synchronous(cluster, False)
    client = Client(town.proxy.port, town.key, book)
    begin = time.monotonic()
    while time.monotonic() < begin + 15:
        write(client, book)
    primary, standbys = cluster.primary(), cluster.standbys()
    kept = set(book.groups)
    for standby in standbys:
        standby.send(signal.SIGSTOP, "walreceiver")
    begin = time.monotonic()
    while time.monotonic() < begin + BEHIND:
        write(client, book)
    primary.kill()
    for standby in standbys:
        standby.send(signal.SIGKILL, "walreceiver")
    cluster.primary(other_than=primary)
    for instance in town.instances:
        wait(f"{instance.name} is ready", 30, instance.is_ready)
    lost = Reckoning(town).lost(book)
    if not lost:
        complaints.append("nothing was lost: it was not played")
    gone = [name for id, name in book.groups.items() if id in kept and f"group {name}" in lost]
    if gone:
        complaints.append(f"{len(gone)} groups are lost that were there long before")
    for words in TOLD:
        try:
            wait("it is told", 30, lambda: any(words in instance.said() for instance in town.instances))
        except TimeoutError:
            complaints.append(f"no instance says: {words}")
    try:
        town.instances[0].shell("audit", "verify")
        complaints.append("audit verify is content")
    except RuntimeError as error:
        if "is not what was written" not in str(error):
            complaints.append(f"audit verify: {error}")
    print(f"asynchronous: {len(lost)} of {len(book.groups)} acknowledged groups are lost, those of the last "
          f"{BEHIND} s before the primary was gone; the logs and audit verify tell of it", flush=True)
    for complaint in complaints:
        print(f"NOT SO  asynchronous: {complaint}", flush=True)
    primary.start()
    synchronous(cluster, True)
    cluster.heal()
    return bool(complaints)


def write(client, book):
    name = f"asynchronous {uuid.uuid4().hex}"
    status, made = client.once("write", "POST", "/groups", {"name": name}, uuid.uuid4().hex, True)
    if status == 201:
        book.groups[made["id"]] = name
    time.sleep(0.05)


def synchronous(cluster, on):
    said = str(on).lower()
    cluster.ctl("edit-config", "enlist", "--force", "--set", f"synchronous_mode={said}", "--set", f"synchronous_mode_strict={said}")
    named = lambda: cluster.primary().sql("SHOW synchronous_standby_names") != [[""]]
    wait("Patroni has it", 30, lambda: named() == on, 0.5)
