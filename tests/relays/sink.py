"""The next hop: takes mails and keeps them, refuses some recipients, and puts off others for ever."""

import email
import email.policy
import re
import threading
import time

from aiosmtpd.controller import Controller

# What the local part of a recipient begins with, and the answer.
ANSWERS = {
    "gone": "550 5.1.1 <{}>: no such mailbox here",
    "full": "552 5.2.2 The mailbox of this user is full",
    "policy": "550 5.7.1 Message refused (our policy does not allow it)",
    "grey": "451 4.7.1 Greylisted, please try again later",
}


class Mail:
    def __init__(self, sender, recipient, content):
        self.sender, self.recipient, self.content, self.at = sender, recipient, content, time.monotonic()
        self.parsed = email.message_from_bytes(content, policy=email.policy.default)


class Sink:
    def __init__(self, port):
        self.port, self.mails, self.lock = port, [], threading.Lock()
        self.controller = self.open()

    def open(self):
        controller = Controller(self, hostname="127.0.0.1", port=self.port, data_size_limit=None)
        controller.start()
        return controller

    async def handle_RCPT(self, server, session, envelope, address, options):
        for start, answer in ANSWERS.items():
            if address.startswith(start):
                return answer.format(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            for recipient in envelope.rcpt_tos:
                self.mails.append(Mail(envelope.mail_from, recipient, bytes(envelope.content)))
        return "250 OK"

    def to(self, pattern):
        with self.lock:
            return [mail for mail in self.mails if re.match(pattern, mail.recipient)]

    def stop(self):
        self.controller.stop()
