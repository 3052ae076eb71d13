"""A mail server that takes access tokens alone (XOAUTH2), and the token server that signs them."""

import base64
import hashlib
import json
import ssl
import subprocess
import time
import urllib.request

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from servers import free_port, wait
from sink import Sink

TOOLS = "target/tools/relays"


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TokenServer:
    """npm's oauth2-mock-server. It makes a new key whenever it starts."""

    def __init__(self, work):
        self.port, self.log, self.process = free_port(), open(work / "tokens.log", "ab"), None
        self.url = f"http://127.0.0.1:{self.port}/token"

    def start(self):
        self.process = subprocess.Popen(
            ["node", f"{TOOLS}/node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs",
             "-a", "127.0.0.1", "-p", str(self.port)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        wait("the token server starts", 30, self.keys)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def keys(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/jwks", timeout=5) as answer:
                return {key["kid"]: key for key in json.load(answer)["keys"]}
        except OSError:
            return {}

    def signed(self, token):
        """Whether it signed the token (RS256), and it still lives."""
        try:
            head, body, signature = token.split(".")
            key = self.keys()[json.loads(decoded(head))["kid"]]
            modulus, exponent = (int.from_bytes(decoded(key[part]), "big") for part in ("n", "e"))
            length = (modulus.bit_length() + 7) // 8
            plain = pow(int.from_bytes(decoded(signature), "big"), exponent, modulus).to_bytes(length, "big")
            # RFC 8017 §9.2: the name of SHA-256, in ASN.1, before the digest.
            digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(
                f"{head}.{body}".encode()).digest()
            right = b"\0\1" + b"\xff" * (length - len(digest) - 3) + b"\0" + digest
            return plain == right and json.loads(decoded(body))["exp"] > time.time()
        except (ValueError, KeyError):
            return False


class TokenMail(Sink):
    """Says 535 to a token that is not good any more, as Gmail does: first the reasons, then the code."""

    def __init__(self, port, tokens, tls):
        self.tokens, self.tls = tokens, tls
        self.seen, self.revoked, self.refused, self.users = [], set(), 0, set()
        super().__init__(port)

    def open(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.tls / "relay.crt", self.tls / "relay.key")
        sink = self

        class Listener(Controller):
            def factory(self):
                return SMTP(
                    sink, hostname="relay.example", tls_context=context, require_starttls=True, auth_required=True,
                    auth_exclude_mechanism=["LOGIN", "PLAIN"], data_size_limit=None,
                )

        controller = Listener(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        return controller

    def reopen(self):
        """Ends the connections that are signed in."""
        self.stop()
        self.controller = self.open()

    async def auth_XOAUTH2(self, server, arguments):
        response = arguments[1] if len(arguments) > 1 else None
        given = base64.b64decode(response) if response else await server.challenge_auth("")
        fields = dict(part.split("=", 1) for part in given.decode().strip("\x01").split("\x01"))
        token = fields["auth"].removeprefix("Bearer ")
        self.users.add(fields["user"])
        if token not in self.seen:
            self.seen.append(token)
        if self.tokens.signed(token) and token not in self.revoked:
            return AuthResult(success=True, auth_data=fields["user"])
        self.refused += 1
        await server.challenge_auth('{"status":"401","schemes":"bearer","scope":"https://mail.example/"}')
        await server.push("535 5.7.8 Username and Password not accepted")
        return AuthResult(success=False, handled=True)
