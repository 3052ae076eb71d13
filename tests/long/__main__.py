"""A long day: faults, one after the other, and what clients saw of each. See tests/long.sh."""

import os
import sys
import threading
import time

from asynchronous import play_asynchronous
from clients import TOO_LONG, Traffic
from cluster import Cluster, Watch
from faults import FAULTS
from reckoning import Reckoning, settle
from restarts import play_restarts
from service import Haproxy, Instance
from sink import Sink

USERS = int(os.environ.get("ENLIST_LONG_USERS", "600"))
ONLY = [name for name in os.environ.get("ENLIST_LONG_ONLY", "").split(",") if name]
# Back this soon after another node leads, or after it is over where none does.
BACK_WITHIN = 10
# How long nothing must go wrong until it counts as over, and how long that is waited for.
QUIET, PATIENCE = 6, 60


class Town:
    def __init__(self):
        self.cluster, self.sink, self.traffic = Cluster(), Sink(), None
        self.cluster.start()
        self.watch = Watch(self.cluster)
        threading.Thread(target=self.watch.look, daemon=True).start()
        self.instances = [Instance(name, self.cluster.url()) for name in ("one", "two")]
        self.instances[0].shell("migrate")
        self.key = self.instances[0].shell("api-keys", "create", "--name", "long", "--role", "admin")
        for instance in self.instances:
            instance.begin()
        self.proxy = Haproxy()
        self.proxy.begin()

    def wait(self, seconds):
        time.sleep(seconds)

    def delivering(self):
        """The instance that has mails on their way."""
        return next((one for one in self.instances if one.helo == self.sink.sender), self.instances[0])

    def third_instance(self, database):
        return Instance("three", database)


class Row:
    """One fault, and what clients saw of it."""

    def __init__(self, town, name, users):
        self.town, self.name, self.fault, self.complaints = town, name, FAULTS[name], []
        # Two thirds are invited at once, the others one after the other.
        stories = max(1, users // 3)
        self.traffic = town.traffic = Traffic(town, name, stories, self.fault.hold / stories, users - stories)
        self.book = self.traffic.book

    def play(self):
        self.town.cluster.heal()
        self.traffic.gather()
        self.traffic.begin()
        time.sleep(2)
        self.traffic.go(self.traffic.invite_crowd)
        time.sleep(1)
        self.begin = time.monotonic()
        try:
            self.complaints += self.fault(self.town) or []
        except Exception as error:
            self.complaints.append(f"the fault could not be played: {type(error).__name__}: {error}")
        self.over = time.monotonic()
        if not self.comes_back():
            self.complaints.append(f"not back {PATIENCE} s after it was over: both instances were restarted")
            for instance in self.town.instances:
                instance.kill()
                instance.begin_again()
        self.last = time.monotonic()
        self.traffic.end()
        self.judge()

    def failures(self):
        return [asked for asked in list(self.book.asked) if asked.failed() and asked.end > self.begin]

    def comes_back(self):
        """Until nothing has failed, or is waited for, for a while."""
        while time.monotonic() - self.over < PATIENCE + QUIET:
            time.sleep(0.5)
            now = time.monotonic()
            if now - self.over < QUIET or any(failed.end > now - QUIET for failed in self.failures()):
                continue
            done = [asked for asked in list(self.book.asked) if asked.begin > now - QUIET]
            if {asked.writes for asked in done} == {True, False}:
                return True
        return False

    def judge(self):
        failures = self.failures()
        self.led = self.town.watch.since(self.begin)
        self.back = max((failed.end for failed in failures), default=None)
        self.longest = max((asked.end - asked.begin for asked in self.book.asked), default=0)
        if self.fault.quiet and failures:
            self.complaints.append(f"{len(failures)} requests failed, none should")
        if self.longest > TOO_LONG and not self.fault.slow:
            slow = max(self.book.asked, key=lambda asked: asked.end - asked.begin)
            self.complaints.append(f"an answer took {self.longest:.0f} s ({slow.kind}: {slow.status} {slow.detail})")
        since = self.led or self.over
        if self.back and self.back - since > BACK_WITHIN:
            what = "another node led" if self.led else "it was over"
            self.complaints.append(f"requests failed until {self.back - since:.0f} s after {what}")
        own = [asked for asked in failures if asked.status and asked.status >= 500 and asked.detail != "the proxy"]
        odd = sorted({f"{asked.kind} {asked.status} {asked.detail}" for asked in own if asked.status != 503})
        if odd:
            self.complaints.append(f"answers that should be 503: {', '.join(odd)}")
        unfinished = [story for story in self.book.stories if not story.enrollment]
        if unfinished:
            count = f"{len(unfinished)} of {len(self.book.stories)}"
            self.complaints.append(f"{count} users did not get through, first {unfinished[0].trouble}")
        self.complaints += self.book.wrong[:5]

    def gap(self, writes):
        """The longest time in which nothing of the kind was answered well."""
        good = sorted(asked.end for asked in self.book.asked if asked.writes == writes and not asked.failed())
        points = [self.begin, *(at for at in good if self.begin < at < self.last)]
        return max((later - earlier for earlier, later in zip(points, points[1:])), default=None)

    def reckon(self, reckoning):
        self.lost = reckoning.lost(self.book)
        self.doubled, self.explained = reckoning.doubled(self.book)

    def line(self):
        def seconds(value):
            return "-" if value is None else f"{value:.1f}"
        asked = self.book.asked
        return [
            self.name, len(asked), sum(1 for one in asked if one.status and one.status >= 500),
            sum(1 for one in asked if one.status is None),
            seconds(self.longest), seconds(self.gap(False)), seconds(self.gap(True)), seconds(self.led and self.led - self.begin),
            seconds(self.back and self.back - self.begin), len(self.lost), len(self.doubled),
        ]


TITLES = [
    "fault", "requests", "5xx", "cut", "longest answer", "no read for", "no write for", "primary after", "back after", "lost", "doubled",
]


def table(rows):
    lines = [TITLES, *(row.line() for row in rows)]
    widths = [max(len(str(line[column])) for line in lines) for column in range(len(TITLES))]
    return "\n".join("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def play_day(town, names):
    begin, rows = time.monotonic(), []
    for name in names:
        row = Row(town, name, max(2, USERS // len(names)))
        print(f"{time.monotonic() - begin:5.0f} s  {name}: {row.fault.words}", flush=True)
        row.play()
        rows.append(row)
        for complaint in row.complaints:
            print(f"         NOT SO: {complaint}", flush=True)
    left = settle(town)
    reckoning = Reckoning(town)
    for row in rows:
        row.reckon(reckoning)
    print("\nSeconds; a failure is a 5xx, a cut connection or an answer after more than "
          f"{TOO_LONG} s. `primary after`: another node led; `back after`: nothing failed any more.\n")
    print(table(rows))
    people = [story for row in rows for story in row.book.everybody()]
    print(f"\n{len(people)} users, {sum(1 for story in people if story.enrollment)} enrolled; {len(town.sink.mails)} mails, "
          f"{sum(row.explained for row in rows)} of them twice because their sender was not told, or was gone; {left} not sent yet; "
          f"{time.monotonic() - begin:.0f} s.")
    wrong = False
    for row in rows:
        for what, found in (("LOST", row.lost), ("DOUBLED", row.doubled), ("NOT SO", row.complaints)):
            for one in found:
                wrong = True
                print(f"{what}  {row.name}: {one}")
    return wrong or left > 0


def main():
    alone = {"restarts": play_restarts, "asynchronous": play_asynchronous}
    unknown = [name for name in ONLY if name not in FAULTS and name not in alone]
    if unknown:
        print(f"There is no {', '.join(unknown)}. There are: {', '.join([*alone, *FAULTS])}.", file=sys.stderr)
        return 2
    names = [name for name in ONLY if name in FAULTS] or ([] if ONLY else list(FAULTS))
    print("Bringing up etcd, three nodes, two instances …", flush=True)
    try:
        town = Town()
    except (RuntimeError, TimeoutError) as error:
        print(f"NOT SO  nothing could be played: {error}")
        return 1
    wrong = play_day(town, names) if names else False
    for name in [name for name in alone if name in ONLY]:
        wrong = alone[name](town) or wrong
    panics = [instance.name for instance in town.instances if "panicked" in instance.said()]
    for name in panics:
        print(f"NOT SO  {name} panicked, see its log (ENLIST_LONG_KEEP)")
    return 1 if wrong or panics else 0


sys.exit(main())
