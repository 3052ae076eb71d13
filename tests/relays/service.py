"""`enlist serve` with a database of its own, and what is asked of it."""

import base64
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from servers import free_port, wait

BINARY = os.environ.get("RELAYS_BINARY", "target/debug/enlist")


class Service:
    def __init__(self, name, work, smtp_url, **settings):
        server = os.environ["TEST_DATABASE_URL"]
        subprocess.run(["psql", "-qX", server, "-c", f"CREATE DATABASE relays_{name}"], check=True)
        self.log = work / f"enlist-{name}.log"
        self.port = free_port()
        self.settings = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": server.replace("/postgres?", f"/relays_{name}?"),
            "ENLIST_SECRET_KEYS": "k1:" + base64.b64encode(os.urandom(32)).decode(),
            "ENLIST_SMTP_URL": smtp_url,
            "ENLIST_MAIL_FROM": "Example IT <it@example.com>",
            "ENLIST_MAIL_BOUNCES": "bounces@example.com",
            "ENLIST_SMTP_HELO": "enlist.example.com",
            "ENLIST_PUBLIC_URL": "https://enlist.example.com",
            "ENLIST_LOG": "info,enlist=debug",
            **{f"ENLIST_{key}": str(value) for key, value in settings.items()},
        }
        self.process = None
        self.shell("migrate")
        self.key = self.shell("api-keys", "create", "--name", "relays", "--role", "admin").strip()

    def shell(self, *arguments, given=b""):
        done = subprocess.run([BINARY, *arguments], env=self.settings, input=given, capture_output=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"enlist {arguments[0]}: {done.returncode} {done.stderr.decode()}")
        return done.stdout.decode()

    def start(self, **settings):
        changed = {f"ENLIST_{key}": str(value) for key, value in settings.items()}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}"],
                env={**self.settings, **changed}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        wait("enlist starts", 60, self.is_ready)

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"enlist ended, see {self.log}")
        try:
            return self.ask("GET", "/readyz")
        except OSError:
            return None

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def ask(self, method, path, body=None, kind="application/json"):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": kind}
        for _ in range(10):
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from None
                time.sleep(1)
        raise RuntimeError(f"{method} {path}: 429 again and again")

    def invite(self, *addresses, **options):
        """Invites new users, and gives their invitations by their addresses."""
        users = [self.ask("POST", "/users", {"email": address})["id"] for address in addresses]
        sent = self.ask("POST", "/invitations/send", {"user_ids": users, **options})
        ids = {result["user_id"]: result["invitation_id"] for result in sent["results"]}
        return {address: ids[user] for address, user in zip(addresses, users)}

    def message(self, invitation):
        return self.ask("GET", f"/invitations/{invitation}")["messages"][0]

    def states(self, invitations):
        return {address: self.message(id)["state"] for address, id in invitations.items()}

    def until(self, state, invitations, seconds):
        """Waits until all are in a state; gives how long it took."""
        begin = time.monotonic()
        try:
            wait(f"all {state}", seconds,
                 lambda: all(found == state for found in self.states(invitations).values()), 0.5)
        except TimeoutError as error:
            left = {a: self.message(i) for a, i in invitations.items()}
            left = [f"{a}: {m['state']} {m['attempts']} {m['reason']}" for a, m in left.items() if m["state"] != state]
            raise TimeoutError(f"{error}; {len(left)} are not: {'; '.join(left[:4])}") from None
        return time.monotonic() - begin

    def pin(self, invitation):
        return self.ask("GET", f"/invitations/{invitation}/pin")["pin"]

    def suppressed(self, address):
        return bool(self.ask("GET", f"/suppressions?email={address}")["data"])

    def bring(self, report):
        """Hands a report over as a mail server's pipe does; gives the word for what came of it."""
        return self.shell("bounce", given=report).strip()

    def said(self):
        return re.sub(r"\x1b\[[0-9;]*m", "", Path(self.log).read_text())
