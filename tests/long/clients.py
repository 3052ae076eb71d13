"""Who uses the service, through the proxy: administrators, devices and readers. Each request is written down."""

import http.client
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field

from processes import HUB

# Longer than any answer may take, so that it is seen how long it takes.
PATIENCE = 40
# How long a client repeats what was not answered.
STUBBORNNESS = 150
# An answer that took longer is a failure, whatever it says.
TOO_LONG = 8


@dataclass
class Asked:
    kind: str
    begin: float
    end: float
    # None where the connection was cut or nothing came.
    status: int | None
    writes: bool
    detail: str = ""

    def failed(self):
        return self.status is None or self.status >= 500 or self.end - self.begin > TOO_LONG


class Client:
    """One that keeps its connection and asks one thing after the other."""

    def __init__(self, port, key, book):
        self.port, self.key, self.book, self.connection = port, key, book, None

    def once(self, kind, method, path, body=None, idempotency_key=None, writes=False):
        """The status and what was answered."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = f'"{idempotency_key}"'
        begin, status, found = time.monotonic(), None, None
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(HUB, self.port, timeout=PATIENCE)
            self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = self.connection.getresponse()
            read = answer.read()
            status = answer.status
            found = json.loads(read) if "json" in answer.headers.get("Content-Type", "") else None
            detail = (found or {}).get("code", "the proxy") if status >= 400 else ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            status, detail = None, f"{type(error).__name__}"
        if status is None:
            self.hang_up()
        self.book.add(Asked(kind, begin, time.monotonic(), status, writes, detail))
        return status, found

    def hang_up(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def until(self, expected, kind, method, path, body=None, idempotent=False, writes=False):
        """Repeats it, with the same key, until there is an answer that says what became of it."""
        key = str(uuid.uuid4()) if idempotent else None
        give_up = time.monotonic() + STUBBORNNESS
        while time.monotonic() < give_up and not self.book.closed:
            status, found = self.once(kind, method, path, body, key, writes)
            if status in expected:
                return found
            in_flight = status == 409 and (found or {}).get("code") == "idempotency_key_in_flight"
            if status is not None and status < 500 and status != 429 and not in_flight:
                raise Wrong(f"{kind}: {status} {json.dumps(found)[:300]}")
            time.sleep(0.5)
        raise Unanswered(f"{kind}: no answer in {STUBBORNNESS} s")


class Wrong(Exception):
    """An answer that cannot be true."""


class Unanswered(Exception):
    pass


@dataclass
class Story:
    """What one user was told, at each step."""
    email: str
    user: str | None = None
    batch: str | None = None
    invitation: str | None = None
    enrollment: str | None = None
    trouble: str | None = None


@dataclass
class Book:
    """Everything that was asked and acknowledged while one fault lasted."""
    fault: str
    asked: list = field(default_factory=list)
    stories: list = field(default_factory=list)
    # Who is invited all at once.
    crowd: list = field(default_factory=list)
    groups: dict = field(default_factory=dict)
    # (when, instance, whether it said that it was ready)
    ready: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    closed: bool = False

    def add(self, asked):
        self.asked.append(asked)

    def everybody(self):
        return self.stories + self.crowd


PIN = re.compile(r"^ *(\d{8}) *\r?$", re.MULTILINE)


def live(story, client, sink):
    """A user is made, looked at, invited, has the mail, enrolls, and is there."""
    made = client.until({201}, "create", "POST", "/users", {"email": story.email}, True, True)
    story.user = made["id"]
    body = {"user_ids": [story.user]}
    client.until({200}, "preview", "POST", "/invitations/preview", body)
    sent = client.until({202}, "send", "POST", "/invitations/send", body, True, True)
    if sent["accepted_count"] != 1:
        raise Wrong(f"send: {json.dumps(sent)[:300]}")
    story.batch, story.invitation = sent["batch_id"], sent["results"][0]["invitation_id"]
    # Nobody keeps a connection while waiting for a mail, and proxies keep none for ever.
    client.hang_up()
    mail = sink.first_to(story.email, STUBBORNNESS)
    if mail is None:
        raise Unanswered("no mail")
    pin = PIN.search(mail.text()).group(1)
    device = {"serial_number": f"C02{uuid.uuid4().hex[:12]}", "platform": "ios"}
    enrollment = {"username": story.email, "pin": pin, "device": device}
    enrolled = client.until({200, 201}, "enroll", "POST", "/enrollments", enrollment, writes=True)
    story.enrollment = enrolled["id"]
    seen = client.until({200}, "look", "GET", f"/users/{story.user}")
    if seen["device_count"] != 1:
        raise Wrong(f"look: {seen['device_count']} devices")


class Traffic:
    """Everybody who asks something while a fault lasts."""

    def __init__(self, town, fault, stories, every, crowd):
        self.town, self.fault, self.stories, self.every, self.crowd = town, fault, stories, every, crowd
        self.book, self.threads, self.ends = Book(fault), [], threading.Event()

    def client(self):
        return Client(self.town.proxy.port, self.town.key, self.book)

    def begin(self):
        for target in (self.read, self.read, self.write, self.write, self.tell):
            self.go(target)
        for instance in self.town.instances:
            self.go(lambda instance=instance: self.look(instance))

    def go(self, target):
        thread = threading.Thread(target=target, daemon=True)
        self.threads.append(thread)
        thread.start()

    def end(self):
        """Whoever has not finished by then is told of in the book."""
        self.ends.set()
        give_up = time.monotonic() + STUBBORNNESS
        for thread in list(self.threads):
            thread.join(max(0.1, give_up - time.monotonic()))
        self.book.closed = True

    def read(self):
        client = self.client()
        while not self.ends.wait(0.2):
            client.once("list", "GET", "/groups?limit=1")

    def write(self):
        """Each one that is acknowledged must be there at the end."""
        client = self.client()
        while not self.ends.wait(0.4):
            name = f"{self.fault} {uuid.uuid4().hex}"
            try:
                made = client.until({201}, "write", "POST", "/groups", {"name": name}, True, True)
                self.book.groups[made["id"]] = name
            except Wrong as error:
                self.book.wrong.append(str(error))
            except Unanswered:
                pass

    def gather(self):
        """Makes a crowd."""
        client = self.client()
        for _ in range(self.crowd):
            story = self.story("crowd")
            made = client.until({201}, "create", "POST", "/users", {"email": story.email}, True, True)
            story.user = made["id"]
            self.book.crowd.append(story)

    def invite_crowd(self):
        """Its mails are on their way for some seconds."""
        by_user = {story.user: story for story in self.book.crowd}
        try:
            sent = self.client().until({202}, "send", "POST", "/invitations/send", {"user_ids": list(by_user)}, True, True)
        except (Wrong, Unanswered) as error:
            self.book.wrong.append(f"the crowd: {error}")
            return
        for result in sent["results"]:
            by_user[result["user_id"]].invitation = result["invitation_id"]

    def story(self, name):
        return Story(f"{self.fault}.{name}.{uuid.uuid4().hex[:8]}@example.com".replace("_", "-"))

    def tell(self):
        """Begins a story after the other."""
        for number in range(self.stories):
            if self.ends.is_set():
                return
            story = self.story(number)
            self.book.stories.append(story)
            self.go(lambda story=story: self.play(story))
            self.ends.wait(self.every)

    def play(self, story):
        try:
            live(story, self.client(), self.town.sink)
        except Wrong as error:
            story.trouble = str(error)
            self.book.wrong.append(f"{story.email}: {error}")
        except Unanswered as error:
            story.trouble = str(error)

    def look(self, instance):
        while not self.ends.wait(0.5):
            begin = time.monotonic()
            self.book.ready.append((begin, instance.name, instance.is_ready()))
