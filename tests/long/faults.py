"""What goes wrong, one thing after the other. Each says how it begins and how it ends, in its own order; what must not be
seen meanwhile it gives back, a line each.
"""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from clients import Client
from processes import HUB, wait
from service import POOLER_PORT, PgBouncer

FAULTS = {}
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def fault(words, quiet=False, slow=False, hold=20):
    """`quiet`: clients must see nothing of it. `slow`: whoever could answer is held. `hold`: about how long it takes, to
    spread the users over it.
    """
    def add(function):
        function.words, function.quiet, function.slow, function.hold = words, quiet, slow, hold
        FAULTS[function.__name__] = function
        return function
    return add


@fault("primary: kill -9 of Patroni and Postgres", hold=30)
def primary_killed(town):
    primary = town.cluster.primary()
    primary.kill()
    town.cluster.primary(other_than=primary)
    town.wait(10)
    primary.start()


@fault("primary: SIGSTOP of all its processes for 45 s", hold=50)
def primary_frozen(town):
    """Longer than it takes until another leads, or nobody sees who waits for the frozen one."""
    primary = town.cluster.primary()
    primary.send(signal.SIGSTOP)
    town.wait(45)
    primary.send(signal.SIGCONT)


@fault("primary: its cable is cut for 45 s, nobody says so", hold=50)
def primary_cut_off(town):
    primary = town.cluster.primary()
    primary.cut()
    town.wait(45)
    primary.mend()


@fault("switchover by patronictl")
def switchover(town):
    primary, standby = town.cluster.primary(), town.cluster.standbys()[0]
    town.cluster.ctl("switchover", "enlist", "--leader", primary.name, "--candidate", standby.name, "--force")
    town.cluster.primary(other_than=primary)


@fault("SIGSTOP of the backend at COMMIT for 20 s; then the same Idempotency-Key", hold=30)
def commit_frozen(town):
    """A commit waits for the standbys, which are stopped; then its backend is, and they go on: it is committed, and nobody
    can say so. Whoever else adds a group just then shares its fate.
    """
    primary, standbys = town.cluster.primary(), town.cluster.standbys()
    client = Client(town.proxy.port, town.key, town.traffic.book)
    body, key, answers, frozen = {"name": f"commit_frozen {time.monotonic()}"}, f"commit-{time.monotonic()}", [], []

    def ask():
        answers.append(client.once("frozen", "POST", "/groups", body, key, True))

    try:
        for standby in standbys:
            standby.send(signal.SIGSTOP, "walreceiver")
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        time.sleep(1)
        frozen = [int(row[0]) for row in primary.sql(
            "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE a.usename = 'enlist'"
            " AND a.wait_event = 'SyncRep' AND l.relation = 'groups'::regclass AND l.mode = 'RowExclusiveLock'"
        )]
        send(signal.SIGSTOP, frozen)
    finally:
        for standby in standbys:
            standby.send(signal.SIGCONT, "walreceiver")
    town.wait(20)
    send(signal.SIGCONT, frozen)
    asking.join(45)
    if not frozen or not answers:
        return [f"{len(frozen)} backends were frozen, {len(answers)} answers came"]
    status, found = answers[0]
    complaints = []
    if status != 503 or (found or {}).get("code") != "outcome_unknown":
        code = (found or {}).get("code")
        complaints.append(f"a commit that was frozen was answered {status} {code}, not 503 outcome_unknown")
    told = None
    for _ in range(60):
        told = client.once("frozen again", "POST", "/groups", body, key, True)
        if told[0] == 201:
            break
        time.sleep(0.5)
    there = town.cluster.primary().sql(f"SELECT id FROM groups WHERE name = '{body['name']}'")
    if told[0] != 201 or there != [[told[1]["id"]]]:
        complaints.append(f"the same Idempotency-Key does not tell the truth: {told}; in the database {there}")
    return complaints


def send(number, pids):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


@fault("default_transaction_read_only is set on the primary for 20 s", hold=25)
def read_only(town):
    primary = town.cluster.primary()
    primary.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    primary.sql("SELECT pg_reload_conf()")
    try:
        town.wait(20)
        said = [instance.name for instance in town.instances if instance.is_ready()]
    finally:
        primary.sql("SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only")
        primary.sql("SELECT pg_reload_conf()")
    return [f"/readyz of {name} says yes while nothing can be written" for name in said]


@fault("pg_terminate_backend of all sessions, ten times in five seconds (57P01)", hold=10)
def sessions_terminated(town):
    primary = town.cluster.primary()
    for _ in range(10):
        primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'enlist'")
        town.wait(0.5)


@fault("LOCK TABLE users for 20 s; what needs no users and /readyz go on", hold=25)
def users_locked(town):
    begin = time.monotonic()
    town.cluster.primary().sql("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(20); COMMIT", seconds=40)
    complaints = []
    # Every change needs them: its event in the audit log may be about one.
    others = [asked for asked in list(town.traffic.book.asked) if asked.kind == "list" and asked.begin > begin]
    bad = [asked for asked in others if asked.failed()]
    if bad:
        complaints.append(f"{len(bad)} requests that need no users failed: {summary(bad)}")
    not_ready = [at for at, _, ready in list(town.traffic.book.ready) if at > begin and not ready]
    if not_ready:
        complaints.append(f"/readyz said no, or nothing, {len(not_ready)} times")
    return complaints


def summary(asked):
    return ", ".join(sorted({f"{one.kind} {one.status} {one.detail}" for one in asked}))


@fault("the primary's disk is full for 20 s (53100)", hold=25)
def disk_full(town):
    primary = town.cluster.primary()
    filler = primary.folder / "filler"
    # Until nothing more fits; what Postgres has set aside for its log is left to it.
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], stderr=subprocess.DEVNULL)
    try:
        town.wait(20)
    finally:
        filler.unlink()


@fault("others take all connections for 20 s (53300), and Enlist's are ended", hold=25)
def connections_exhausted(town):
    primary, hoard, ends = town.cluster.primary(), [], threading.Event()

    def take():
        while not ends.is_set():
            connection = idle_session(primary.address)
            if connection:
                hoard.append(connection)
            else:
                time.sleep(0.002)

    takers = [threading.Thread(target=take, daemon=True) for _ in range(4)]
    for taker in takers:
        taker.start()
    time.sleep(1)
    # Until none is left: an instance may be quicker than those who take what becomes free.
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'enlist' AND application_name <> 'hoard'"
    wait("no session of Enlist's", 20, lambda: primary.sql(ended) == [["0"]], 0.3)
    town.wait(20)
    ends.set()
    for taker in takers:
        taker.join(5)
    for connection in hoard:
        connection.close()


def idle_session(address):
    """A session that does nothing, by the protocol's own words; none where the server has no place."""
    connection = socket.create_connection((address, 5432), timeout=3)
    words = b"user\0enlist\0database\0enlist\0application_name\0hoard\0\0"
    connection.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
    if connection.recv(1) == b"R":
        return connection
    connection.close()
    return None


@fault("restart of the primary by patronictl (57P03)")
def primary_restarted(town):
    primary = town.cluster.primary()
    town.cluster.ctl("restart", "enlist", primary.name, "--force")


@fault("the synchronous standby: kill -9", hold=25)
def standby_killed(town):
    standby = town.cluster.standbys()[0]
    standby.kill()
    town.wait(10)
    standby.start()


@fault("both standbys: SIGSTOP for 20 s, so no commit is confirmed", hold=25)
def standbys_frozen(town):
    standbys = town.cluster.standbys()
    for standby in standbys:
        standby.send(signal.SIGSTOP)
    town.wait(20)
    for standby in standbys:
        standby.send(signal.SIGCONT)


@fault("etcd is stopped for 20 s", hold=25)
def etcd_stopped(town):
    town.cluster.etcd.stop()
    town.wait(20)
    town.cluster.etcd.start()


@fault("an instance: kill -9, started again after 5 s", hold=10)
def instance_killed(town):
    instance = town.delivering()
    instance.kill()
    town.wait(5)
    instance.begin()


@fault("an instance: SIGTERM, and a start", quiet=True, hold=10)
def instance_restarted(town):
    instance = town.delivering()
    instance.stop()
    instance.begin()


@fault("an instance: SIGSTOP for 60 s, longer than it holds its messages", slow=True, hold=65)
def instance_frozen(town):
    instance = town.delivering()
    instance.freeze()
    town.wait(60)
    instance.send(signal.SIGCONT)


@fault("the mail server is away for 30 s", quiet=True, hold=35)
def mail_away(town):
    town.sink.away()
    town.wait(30)
    town.sink.back()


@fault("the clock of one instance is two minutes ahead, then two behind", quiet=True, hold=60)
def clock_skewed(town):
    instance = town.instances[1]
    for skew in ("+120s", "-120s"):
        instance.begin_again(LD_PRELOAD=str(FAKETIME), FAKETIME=skew, FAKETIME_DONT_FAKE_MONOTONIC="1")
        town.wait(25)
    instance.begin_again()


@fault("haproxy: killed and started again", hold=5)
def haproxy_restarted(town):
    town.proxy.kill()
    town.proxy.begin()


@fault("PgBouncer between, lending for a session", quiet=True, hold=30)
def pooled_by_session(town):
    pooler = PgBouncer("session", town.cluster.primary())
    pooler.start()
    wait("PgBouncer answers", 10, lambda: listens(pooler))
    for instance in town.instances:
        instance.begin_again(DATABASE_URL=pooler.url)
    town.wait(20)
    for instance in town.instances:
        instance.begin_again()
    pooler.stop()


@fault("PgBouncer between, lending for a transaction: refused at the start", quiet=True, hold=10)
def pooled_by_transaction(town):
    pooler = PgBouncer("transaction", town.cluster.primary())
    pooler.start()
    wait("PgBouncer answers", 10, lambda: listens(pooler))
    third = town.third_instance(pooler.url)
    third.start()
    try:
        wait("it ends, or is ready", 30, lambda: not third.runs() or third.is_ready())
    except TimeoutError:
        pass
    complaints = []
    if third.runs():
        complaints.append("it was not refused" + (", it is even ready" if third.is_ready() else ""))
        third.kill()
    elif "pgbouncer" not in third.said().lower() or "session" not in third.said():
        complaints.append(f"the refusal names no pooler, or no remedy: {third.said()[-300:]!r}")
    pooler.stop()
    locks = town.cluster.primary().sql(
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND a.state = 'idle'"
        f" AND a.backend_start > now() - interval '60 s' AND a.client_addr = '{HUB}'"
    )
    if locks != [["0"]]:
        complaints.append(f"{locks[0][0]} advisory locks are left")
    return complaints


def listens(pooler):
    with socket.socket() as probe:
        return pooler.runs() and probe.connect_ex((HUB, POOLER_PORT)) == 0
