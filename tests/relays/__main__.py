"""Sends through real mail servers and brings their reports back: a line a check. See tests/relays.sh."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from oauth import TokenMail, TokenServer
from servers import LIFETIME, PASSWORD, USER, Exim, OpenSmtpd, Postfix, free_port, wait
from service import Service
from sink import Sink

WORK = Path("target/relays")
KEEP = os.environ.get("RELAYS_KEEP")
failed, skipped, running = [], [], []
printing = threading.Lock()


class Checks:
    """Runs a check after the other and prints a line of each."""

    def __init__(self, name):
        self.name = name

    def skip(self, what):
        skipped.append(what)
        print(f"SKIPPED {self.name}: {what}", flush=True)

    def run(self, what, check):
        begin = time.monotonic()
        try:
            found = check() or ""
            line = f"ok      {self.name}: {what}{' (' + found + ')' if found else ''}"
        except Exception as error:
            traceback.print_exc(file=open(WORK / f"{self.name.split()[0]}.trace", "a"))
            line = f"FAILED  {self.name}: {what}: {error or type(error).__name__}"
            failed.append(line)
        with printing:
            print(f"{line} [{time.monotonic() - begin:.0f} s]", flush=True)


def must(condition, otherwise):
    if not condition:
        raise AssertionError(otherwise)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificates(tls):
    """Two authorities, of which the first vouches for the mail servers."""
    tls.mkdir(parents=True)
    for name in ["ca", "other"]:
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}.example",
                "-keyout", f"{tls}/{name}.key", "-out", f"{tls}/{name}.crt")
    (tls / "names").write_text("subjectAltName=DNS:relay.example,IP:127.0.0.1\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=relay.example",
            "-keyout", f"{tls}/relay.key", "-out", f"{tls}/relay.csr")
    openssl("x509", "-req", "-in", f"{tls}/relay.csr", "-days", "2", "-CA", f"{tls}/ca.crt", "-CAkey", f"{tls}/ca.key",
            "-CAcreateserial", "-extfile", f"{tls}/names", "-out", f"{tls}/relay.crt")


def is_over(report):
    """OpenSMTPD says `delayed` of a mail that it gives up."""
    return "Envelope expired" in report


class ThroughARelay:
    # What may stand in the way of forty mails, as settings of each server.
    LIMITS = {
        "postfix": [
            ("two connections at once", {"smtpd_client_connection_count_limit": "2"}, 90),
            ("ten mails in ten seconds", {"smtpd_client_message_rate_limit": "10", "anvil_rate_time_unit": "10s"}, 240),
        ],
        "exim": [
            ("five mails a connection", {"per_connection": 5}, 90),
            ("two connections at once", {"per_host": 2}, 90),
        ],
        "opensmtpd": [("five mails a connection", {"mails": 5}, 90)],
    }
    # Who returns the whole mail although it is asked for its head (RET=HDRS): OpenSMTPD heeds that where a mail arrived.
    RETURN_ALL = {"opensmtpd"}
    # Whom the next hop refuses, and what comes of the report: its outcome, and whether the address is suppressed.
    REFUSED = {
        "gone": ({"hard"}, True),
        "full": ({"hard"}, False),
        "policy": ({"hard"}, False),
        "grey": ({"soft"}, False),
        "away": ({"soft"}, False),
    }

    def __init__(self, kind, tls):
        self.ada, self.sink = {}, Sink(free_port())
        self.server = kind(WORK, tls, self.sink.port)
        running.append(self.server)
        self.checks = Checks(f"{self.server.name} {self.server.version()}")
        self.tls = tls
        self.server.start()
        at = f"127.0.0.1:{self.server.port}"
        if self.server.speaks_tls():
            login = f"{USER}:{quote(PASSWORD, safe='')}"
            self.service = Service(
                self.server.name, WORK, f"smtp://{login}@{at}?tls=required", SMTP_CA=tls / "ca.crt"
            )
        else:
            # OpenSMTPD 6.8 with OpenSSL 3 (https://github.com/OpenSMTPD/OpenSMTPD/issues/1171).
            self.checks.skip("STARTTLS and AUTH: this build breaks every handshake")
            self.server.has_tls = False
            self.server.restart()
            self.service = Service(self.server.name, WORK, f"smtp://{at}?tls=none")
        running.append(self.service)

    def run(self):
        try:
            run = self.checks.run
            if self.server.has_tls:
                run("a certificate of somebody else's gets no mail", self.other_authority)
                run("STARTTLS with a checked certificate, AUTH, a PIN mail", self.accepted)
            else:
                run("a PIN mail", self.accepted)
            run("the relay is down for a while", self.relay_down)
            run(f"reports of refusals and of a life in the queue of {LIFETIME} s", self.reports)
            for what, settings, seconds in self.LIMITS[self.server.name]:
                run(f"forty mails, {what}", lambda: self.limited(what, settings, seconds))
            run("a mail that is too large", self.too_large)
            run("no secret in the log", self.log_is_clean)
        finally:
            self.service.stop()
            self.server.stop()
            self.sink.stop()

    def arrived_once(self, addresses, seconds=30):
        wait("the next hop has them", seconds, lambda: {m.recipient for m in self.sink.mails} >= set(addresses))
        time.sleep(2)
        counts = Counter(mail.recipient for mail in self.sink.mails)
        twice = [address for address in addresses if counts[address] != 1]
        must(not twice, f"not once: {twice}")
        return [next(m for m in self.sink.mails if m.recipient == address) for address in addresses]

    def other_authority(self):
        self.service.start(SMTP_CA=self.tls / "other.crt")
        self.ada = self.service.invite("ada@corp.example")
        self.service.until("deferred", self.ada, 30)
        reason = self.service.message(self.ada["ada@corp.example"])["reason"]
        must("certificate" in reason, reason)
        must(not self.sink.mails, "it came all the same")
        return reason

    def accepted(self):
        self.service.stop()
        self.service.start()
        self.ada = self.ada or self.service.invite("ada@corp.example")
        self.service.until("accepted", self.ada, 90)
        [mail] = self.arrived_once(self.ada)
        text = mail.parsed.get_body(("plain",)).get_content()
        must(self.service.pin(self.ada["ada@corp.example"]) in text.replace(" ", ""), "its PIN is another one")
        received = " ".join(mail.parsed.get_all("received"))
        must(not self.server.has_tls or "esmtpsa" in received.lower(), received)
        message = self.service.message(self.ada["ada@corp.example"])
        return f"{message['smtp_code']} {message['reason']}"

    def relay_down(self):
        self.server.stop()
        down = self.service.invite(*(f"down{n}@corp.example" for n in range(3)))
        self.service.until("deferred", down, 60)
        reason = self.service.message(next(iter(down.values())))["reason"]
        self.server.start()
        took = self.service.until("accepted", down, 150)
        self.arrived_once(down)
        return f"{reason}; all taken {took:.0f} s after it was back"

    def reports(self):
        addresses = {name: f"{name}@{'away' if name == 'away' else 'corp'}.example" for name in self.REFUSED}
        sent = self.service.invite(*addresses.values())
        self.service.until("accepted", sent, 30)
        pins = [self.service.pin(invitation) for invitation in sent.values()]
        done, wrong = {}, []
        end, handled = time.monotonic() + 4 * LIFETIME, 0
        while len(done) < len(addresses) and time.monotonic() < end:
            time.sleep(0.5)
            reports = self.sink.to(r"bounces\+")
            for report in reports[handled:]:
                for name, address in addresses.items():
                    if address.encode() in report.content:
                        self.bring(name, address, sent[address], report, pins, done, wrong)
            handled = len(reports)
        left = set(addresses) - set(done)
        must(not left, f"no final report about {sorted(left)} within {4 * LIFETIME} s; {wrong}")
        must(not wrong, "; ".join(wrong))
        return "; ".join(f"{name}: {said}" for name, said in done.items())

    def bring(self, name, address, invitation, report, pins, done, wrong):
        programs = [part for part in report.parsed.walk() if part.get_content_type() == "message/delivery-status"]
        actions = [str(block["action"]) for part in programs for block in part.get_payload() if block["action"]]
        action = actions[0] if actions else "none"
        before = self.service.message(invitation)["state"]
        outcome = self.service.bring(report.content)
        message = self.service.message(invitation)
        suppressed = self.service.suppressed(address)
        whole = report.content.decode("utf-8", "replace") + "".join(
            part.get_content() for part in report.parsed.walk() if part.get_content_maintype() == "text")
        self.keep(f"{name}-{'expired' if action == 'delayed' and is_over(whole) else action}", address, report)
        has_pin = any(pin in whole for pin in pins)
        if has_pin != (self.server.name in self.RETURN_ALL):
            wrong.append(f"{name}: a PIN in the report: {has_pin}")
        if any(pin in str(message) for pin in pins):
            wrong.append(f"{name}: the message shows a PIN")
        if action == "delayed" and not is_over(whole):
            if (outcome, message["state"]) != ("soft", before):
                wrong.append(f"{name}, delayed: {outcome}, {message['state']}")
            return
        outcomes, is_suppressed = self.REFUSED[name]
        said = f"{outcome} {message['enhanced_status']} {message['smtp_code']} {message['reason']}"
        if outcome not in outcomes or message["state"] != "bounced" or suppressed != is_suppressed:
            wrong.append(f"{name}: {said}, {message['state']}, suppressed: {suppressed}")
        done[name] = said

    def keep(self, what, address, report):
        if KEEP:
            text = report.content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
            token = re.match(r"bounces\+([^@]+)@", report.recipient)[1]
            text = text.replace(token, "@TOKEN@").replace(address, "@ADDRESS@")
            path = Path(KEEP) / f"real-{self.server.name}-{what}.eml"
            path.write_bytes(text.encode("utf-8", "surrogateescape"))

    def limited(self, what, settings, seconds):
        self.server.restart(**settings)
        tag = re.sub("[^a-z]", "", what)
        many = [f"{tag}{n:02}@corp.example" for n in range(40)]
        sent = self.service.invite(*many)
        took = self.service.until("accepted", sent, seconds)
        self.arrived_once(many)
        attempts = sum(self.service.message(invitation)["attempts"] for invitation in sent.values())
        return f"{took:.0f} s, {attempts} tries"

    def too_large(self):
        self.server.restart()
        usual = self.service.invite("large0@corp.example", method="qr")
        self.service.until("accepted", usual, 60)
        [large] = self.arrived_once(usual)
        [small] = self.sink.to("ada@")
        sizes = len(small.content), len(large.content)
        must(sizes[0] * 1.2 < sizes[1], f"a mail with a QR code is not larger: {sizes}")
        self.server.restart(size=sum(sizes) // 2)
        refused = self.service.invite("large1@corp.example", method="qr")
        self.service.until("failed", refused, 60)
        fits = self.service.invite("small1@corp.example")
        self.service.until("accepted", fits, 60)
        message = self.service.message(refused["large1@corp.example"])
        return f"{sizes[1]} bytes: {message['reason']}"

    def log_is_clean(self):
        log = self.service.said()
        must(PASSWORD not in log and quote(PASSWORD, safe="") not in log, "the password is in the log")
        must("@corp.example" not in re.sub(r"\*\*\*@corp.example", "", log), "an address is in the log")


class WithTokens:
    SECRET = "a-secret-of-the-client"

    def __init__(self, tls):
        self.checks = Checks("aiosmtpd and oauth2-mock-server")
        self.tokens = TokenServer(WORK)
        running.append(self.tokens)
        self.sink = TokenMail(free_port(), self.tokens, tls)
        self.service = Service(
            "oauth", WORK, f"smtp://it%40example.com@127.0.0.1:{self.sink.port}?tls=required", SMTP_CA=tls / "ca.crt",
            SMTP_OAUTH_TOKEN_URL=self.tokens.url, SMTP_OAUTH_CLIENT_ID="enlist",
            SMTP_OAUTH_CLIENT_SECRET=self.SECRET, SMTP_OAUTH_SCOPE="https://mail.example/.default",
        )
        running.append(self.service)

    def run(self):
        try:
            self.tokens.start()
            self.service.start()
            run = self.checks.run
            run("XOAUTH2, a PIN mail", self.accepted)
            run("a token that is refused is renewed once, and the mail goes out", self.renewed)
            run("the token server is down for a while", self.token_server_down)
            run("no token and no secret in the log", self.log_is_clean)
        finally:
            self.service.stop()
            self.tokens.stop()
            self.sink.stop()

    def accepted(self):
        sent = self.service.invite("ada@corp.example")
        self.service.until("accepted", sent, 30)
        must(len(self.sink.to("ada@")) == 1, "it did not come")
        must((self.sink.users, len(self.sink.seen), self.sink.refused) == ({"it@example.com"}, 1, 0), self.told())

    def told(self):
        return f"users {self.sink.users}, {len(self.sink.seen)} tokens, {self.sink.refused} refused"

    def renewed(self):
        # A token of the same second would be the same one.
        time.sleep(1.1)
        self.sink.revoked.update(self.sink.seen)
        self.sink.reopen()
        sent = self.service.invite("bob@corp.example")
        self.service.until("accepted", sent, 30)
        message = self.service.message(sent["bob@corp.example"])
        must((len(self.sink.seen), self.sink.refused, message["attempts"]) == (2, 1, 1), f"{self.told()}, {message}")

    def token_server_down(self):
        # After a start there is no token.
        self.service.stop()
        self.tokens.stop()
        self.service.start()
        sent = self.service.invite(*(f"down{n}@corp.example" for n in range(3)))
        self.service.until("deferred", sent, 60)
        reasons = {self.service.message(invitation)["reason"] for invitation in sent.values()}
        must(all("access token" in reason for reason in reasons), reasons)
        self.tokens.start()
        took = self.service.until("accepted", sent, 180)
        must(len(self.sink.to("down")) == 3, "not each came once")
        return f"{'; '.join(sorted(reasons))}; all taken {took:.0f} s after it was back"

    def log_is_clean(self):
        log = self.service.said()
        must(self.SECRET not in log, "the client's secret is in the log")
        must(not any(token in log or token.split(".")[2] in log for token in self.sink.seen), "a token is in the log")


def main(names):
    # aiosmtpd tells of what it means to change in itself.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    tls = (WORK / "tls").resolve()
    certificates(tls)
    kinds = {kind.name: kind for kind in [Postfix, Exim, OpenSmtpd]}

    def end(signum, _):
        for one in reversed(running):
            one.stop()
        os._exit(128 + signum)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)

    def one(name):
        try:
            (WithTokens(tls) if name == "oauth" else ThroughARelay(kinds[name], tls)).run()
        except Exception as error:
            traceback.print_exc()
            failed.append(name)
            print(f"FAILED  {name}: {error}", flush=True)

    # Side by side: most of the time is waiting.
    threads = [threading.Thread(target=one, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if skipped:
        print(f"SKIPPED: {len(skipped)} checks.", file=sys.stderr)
    if failed:
        print(f"{len(failed)} checks failed; the logs are in {WORK}.", file=sys.stderr)
    sys.exit(bool(failed))


main(sys.argv[1:])
