#!/usr/bin/env python3
"""Makes the README's pictures: `enlist dev` in a folder of its own, real mails, Chromium.

usage: docs/pictures.py [--all] [FOLDER]   (default: docs)

With --all also dark, at phone width, the QR mail and more of the landing page: to look at, not to keep. Needs chromium and its
driver (Debian: apt-get install chromium chromium-driver), and what `make dev` needs.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from browser import Browser, ask

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


IPHONE = ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
          "Version/18.5 Mobile/15E148 Safari/604.1")
ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"


class Enlist:
    def __init__(self, place):
        subprocess.run(["cargo", "build", "--quiet"], cwd=ROOT, check=True)
        env = {**os.environ, "ENLIST_ORG_NAME": "Example & Söhne", "ENLIST_LISTEN": "127.0.0.1:0",
               "ENLIST_DATA_DIR": os.path.join(place, "data"), "TZ": "UTC"}
        env.pop("DATABASE_URL", None)
        self.process = subprocess.Popen([os.path.join(ROOT, "target/debug/enlist"), "dev"], env=env,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        greeting = ""
        while "Ctrl-C" not in greeting:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("enlist dev did not start; try it by hand")
            greeting += line
        self.url = re.search(r"http://localhost:\d+", greeting)[0]
        with open(os.path.join(place, "data", "auth-header")) as header:
            self.key = header.read().strip().split(": ", 1)[1]

    def ask(self, path, body=None, method=None):
        return ask(self.url + path, body, {"Authorization": self.key}, method)

    def mails(self, count):
        for _ in range(200):
            found = self.ask("/dev/mailbox/messages")["data"]
            if len(found) >= count:
                return found
            time.sleep(0.05)
        sys.exit(f"only {len(found)} of {count} mails came")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def landing(enlist, browser, folder, link, everything):
    """The page behind a QR code: on a phone, and with --all elsewhere and when it is over."""
    def page(name, url, width, **how):
        browser.picture(url, os.path.join(folder, f"landing{name}.png"), width, 700, whole=True, **how)

    page("", link, 390, agent=IPHONE)
    if not everything:
        return
    for look, dark in [("", False), ("-dark", True)]:
        page(f"-phone{look}", link, 390, agent=ANDROID, dark=dark)
        page(f"-wide{look}", link, 1100, dark=dark)
        page(f"-general{look}", f"{enlist.url}/enroll", 390, agent=IPHONE, dark=dark)
        page(f"-general-wide{look}", f"{enlist.url}/enroll", 1100, dark=dark)
        page(f"-unknown{look}", link[:-4], 390, agent=IPHONE, dark=dark)
    enlist.ask("/invitations/send", {"filter": {"q": "lovelace"}})
    for look, dark in [("", False), ("-dark", True)]:
        page(f"-superseded{look}", link, 390, agent=IPHONE, dark=dark)


def main():
    everything = "--all" in sys.argv
    folder = os.path.abspath(next((word for word in sys.argv[1:] if not word.startswith("-")), os.path.join(ROOT, "docs")))
    os.makedirs(folder, exist_ok=True)
    place = tempfile.mkdtemp()
    # Run by root, Postgres runs as its own user and has to get in.
    os.chmod(place, 0o755)
    enlist = Enlist(place)
    browser = Browser()
    try:
        note = "Please do it before Friday.\nThank you!"
        enlist.ask("/invitations/send", {"filter": {}, "device_ownership": "company_owned", "note": note})
        sent = len(enlist.mails(23))
        enlist.ask("/settings/registration/default", {"mdm_url": "https://mdm.example.com/start?t={token}"}, "PUT")
        enlist.ask("/invitations/send", {"filter": {"q": "lovelace"}, "method": "qr", "note": note})
        qr = enlist.mails(sent + 1)[0]
        pin = next(mail for mail in enlist.mails(1) if mail["has_pin"] and "Grace" in mail["to"][0]["name"])
        for mail, kind, height in [(pin, "pin", 1120), (qr, "qr", 1330)]:
            page = os.path.join(place, f"{kind}.html")
            with open(page, "w") as file:
                file.write(enlist.ask(f"/dev/mailbox/messages/{mail['id']}")["html"])
            inbox = f"{enlist.url}/dev/mailbox#{mail['id']}"
            # The list has every mail, and the one that was asked for is open.
            ready = f"return document.querySelectorAll('#mails a').length > {sent} && !document.getElementById('article').hidden"

            def both(name, width, height, **how):
                browser.picture(f"file://{page}", os.path.join(folder, f"mail-{kind}{name}.png"), width, height, **how)

            if everything or kind == "pin":
                both("", 760, height)
                name = "mailbox.png" if kind == "pin" else "mailbox-qr.png"
                browser.picture(inbox, os.path.join(folder, name), 1280, 860, ready=ready)
            if everything:
                both("-dark", 760, height, dark=True)
                both("-phone", 390, height + 200)
                both("-phone-dark", 390, height + 200, dark=True)
                box = os.path.join(folder, f"mailbox-{kind}")
                browser.picture(inbox, f"{box}-dark.png", 1280, 860, dark=True, ready=ready)
                browser.picture(inbox, f"{box}-phone.png", 390, 844, ready=ready)
                browser.picture(inbox, f"{box}-phone-dark.png", 390, 844, dark=True, ready=ready)
                browser.picture(inbox.split("#")[0], f"{box}-phone-list.png", 390, 844, ready=ready.split(" && ")[0])
        text = enlist.ask(f"/dev/mailbox/messages/{qr['id']}")["text"]
        landing(enlist, browser, folder, re.search(r"http://\S+/enroll/\S+", text)[0], everything)
    finally:
        browser.stop()
        enlist.stop()
        subprocess.run(["rm", "-rf", place], check=False)


main()
