"""The mail server: takes every mail, remembers it, and can be away."""

import email
import email.policy
import socketserver
import threading
import time

from processes import HUB

PORT = 1025
# Seconds before it takes a mail: so mails are on their way when something happens.
THINKS = 1


class Mail:
    def __init__(self, helo, recipient, content, begun):
        self.helo, self.recipient, self.content = helo, recipient, content
        # Whether the sender could be told that it was taken.
        self.begun, self.at, self.told = begun, time.monotonic(), False
        head = email.message_from_bytes(content.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n", policy=email.policy.default)
        self.message_id = str(head["Message-ID"])

    def text(self):
        mail = email.message_from_bytes(self.content, policy=email.policy.default)
        return mail.get_body(("plain",)).get_content()


class Conversation(socketserver.StreamRequestHandler):
    def reply(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.server.open.add(self.connection)
        try:
            self.talk()
        except OSError:
            pass
        finally:
            self.server.open.discard(self.connection)

    def talk(self):
        helo, recipients = "", []
        self.reply("220 sink.example ESMTP")
        while line := self.rfile.readline():
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            match word.upper():
                case "EHLO" | "HELO":
                    helo = rest
                    self.reply("250 sink.example")
                case "RCPT":
                    recipients.append(rest.partition(":")[2].split(">")[0].strip(" <"))
                    self.reply("250 2.1.5 OK")
                case "DATA":
                    begun, self.server.sink.sender = time.monotonic(), helo
                    self.reply("354 Go on")
                    content = self.read_mail()
                    if content is None:
                        return
                    time.sleep(THINKS)
                    taken = self.server.sink.take(helo, recipients, content, begun)
                    recipients = []
                    self.reply("250 2.0.0 Taken")
                    for mail in taken:
                        mail.told = True
                case "QUIT":
                    self.reply("221 2.0.0 Bye")
                    return
                case "RSET":
                    recipients = []
                    self.reply("250 2.0.0 OK")
                case _:
                    self.reply("250 2.0.0 OK")

    def read_mail(self):
        lines = []
        while line := self.rfile.readline():
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return None


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 100


class Sink:
    def __init__(self):
        self.mails, self.by_recipient, self.arrived = [], {}, threading.Condition()
        # Who brought the last mail.
        self.sender, self.server = None, None
        self.back()

    def take(self, helo, recipients, content, begun):
        taken = [Mail(helo, recipient, content, begun) for recipient in recipients]
        with self.arrived:
            for mail in taken:
                self.mails.append(mail)
                self.by_recipient.setdefault(mail.recipient, []).append(mail)
            self.arrived.notify_all()
        return taken

    def back(self):
        self.server = Server((HUB, PORT), Conversation)
        self.server.sink, self.server.open = self, set()
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def away(self):
        """Nobody listens any more, and who is connected is not."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.open):
            try:
                connection.shutdown(2)
            except OSError:
                pass

    def first_to(self, recipient, seconds):
        with self.arrived:
            self.arrived.wait_for(lambda: recipient in self.by_recipient, seconds)
            return self.by_recipient.get(recipient, [None])[0]
