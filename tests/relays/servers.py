"""Postfix, Exim and OpenSMTPD, each in a root of its own, with settings of its own, listening on this machine alone."""

import os
import shutil
import signal
import smtplib
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

TOOLS = Path("target/tools/relays")
USER, PASSWORD = "enlist", "se:cret/1"
# How long a server keeps what it cannot hand on, in seconds.
LIFETIME = 40


def wait(what, seconds, ready, every=0.2):
    """Waits until `ready` gives something, and gives that; a limit that is over is an error."""
    end = time.monotonic() + seconds
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as tried:
            return tried.recv(100).startswith(b"220")
    except OSError:
        return False


class Server:
    """A mail server; what it takes goes to `next_hop`, and what is for away.example to a port where nobody is."""

    name = binary = ""
    # Name, number, home: of users and of groups alike.
    users = []
    # Paths, owners, modes.
    folders = []

    def __init__(self, work, tls, next_hop):
        self.root = (work / self.name).resolve()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(TOOLS / self.name, self.root, symlinks=True)
        self.log = open(work / f"{self.name}.log", "ab")
        self.port, self.next_hop, self.nobody = free_port(), next_hop, free_port()
        self.process = None
        users = [("root", 0, "/"), ("nobody", 65534, "/"), *self.users]
        self.write("etc/passwd", "".join(f"{n}:x:{i}:{i}::{h}:/bin/false\n" for n, i, h in users))
        self.write("etc/group", "".join(f"{n}:x:{i}:\n" for n, i, _ in users))
        self.write("etc/hosts", "127.0.0.1 localhost relay.example\n")
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\n")
        # Nobody is asked: no name leaves this machine.
        self.write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self.write("etc/services", "smtp 25/tcp\nsubmission 587/tcp\n")
        self.write("etc/mailname", "relay.example\n")
        self.folder("tmp", 0, 0o1777)
        self.folder("dev", 0, 0o755)
        for device, minor in [("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)]:
            path = self.root / "dev" / device
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            path.chmod(0o666)
        for path, owner, mode in self.folders:
            self.folder(path, owner, mode)
        for file in ["relay.crt", "relay.key"]:
            self.write(f"etc/tls/{file}", (tls / file).read_text(), self.key_owner, 0o600)

    key_owner = 0

    def write(self, path, text, owner=0, mode=0o644):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.chown(path, owner, owner)
        path.chmod(mode)

    def folder(self, path, owner, mode):
        path = self.root / path
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, owner, owner)
        path.chmod(mode)

    def run(self, *command, text=None):
        done = subprocess.run(
            ["chroot", self.root, *command], input=text, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def command(self):
        raise NotImplementedError

    def configure(self, **settings):
        raise NotImplementedError

    def start(self, **settings):
        self.configure(**settings)
        # A group of its own, which can be ended as one.
        self.process = subprocess.Popen(
            ["chroot", self.root, *self.command()],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )
        wait(f"{self.name} starts", 30, lambda: answers(self.port))

    # Whether it can encrypt, which AUTH needs, too.
    has_tls = True

    def speaks_tls(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with smtplib.SMTP("127.0.0.1", self.port, "probe.example", 10) as client:
                client.starttls(context=context)
                return client.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        # Who is left of it has files open in its root.
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        root = os.readlink(entry / "root")
                    except OSError:
                        continue
                    if root == str(self.root):
                        os.kill(int(entry.name), signum)
            time.sleep(0.3)
        self.process.wait(10)
        self.process = None

    def restart(self, **settings):
        self.stop()
        self.start(**settings)


class Postfix(Server):
    name = "postfix"
    users = [("postfix", 901, "/var/spool/postfix"), ("postdrop", 902, "/")]
    folders = [
        ("var/spool/postfix", 0, 0o755), ("var/lib/postfix", 901, 0o755), ("var/log", 0, 0o755),
        *((f"var/spool/postfix/{name}", 901, 0o700) for name in
          "active bounce corrupt defer deferred flush hold incoming private saved trace public maildrop".split()),
        ("var/spool/postfix/pid", 0, 0o755),
    ]
    services = """
        pickup unix n - n 60 1 pickup
        cleanup unix n - n - 0 cleanup
        qmgr unix n - n 300 1 qmgr
        tlsmgr unix - - n 1000? 1 tlsmgr
        rewrite unix - - n - - trivial-rewrite
        bounce unix - - n - 0 bounce
        defer unix - - n - 0 bounce
        trace unix - - n - 0 bounce
        verify unix - - n - 1 verify
        flush unix n - n 1000? 0 flush
        proxymap unix - - n - - proxymap
        proxywrite unix - - n - 1 proxymap
        smtp unix - - n - - smtp
        relay unix - - n - - smtp
        showq unix n - n - - showq
        error unix - - n - - error
        retry unix - - n - - error
        discard unix - - n - - discard
        anvil unix - - n - 1 anvil
        scache unix - - n - 1 scache
        postlog unix-dgram n - n - 1 postlogd
    """

    def version(self):
        return self.run("/usr/sbin/postconf", "-d", "-h", "mail_version").split()[0]

    def configure(self, size=50_000_000, **limits):
        settings = {
            "compatibility_level": "3.6",
            "myhostname": "relay.example",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "queue_directory": "/var/spool/postfix",
            "data_directory": "/var/lib/postfix",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "command_directory": "/usr/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "maillog_file": "/var/log/postfix.log",
            "disable_dns_lookups": "yes",
            "smtp_host_lookup": "native",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_auth_only": "yes",
            "smtpd_tls_cert_file": "/etc/tls/relay.crt",
            "smtpd_tls_key_file": "/etc/tls/relay.key",
            "smtpd_sasl_auth_enable": "yes",
            "cyrus_sasl_config_path": "/etc/postfix/sasl",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            "relayhost": f"[127.0.0.1]:{self.next_hop}",
            "transport_maps": f"inline:{{{{away.example=smtp:[127.0.0.1]:{self.nobody}}}}}",
            "maximal_queue_lifetime": f"{LIFETIME}s",
            "bounce_queue_lifetime": f"{LIFETIME}s",
            "queue_run_delay": "4s",
            "minimal_backoff_time": "4s",
            "maximal_backoff_time": "8s",
            "delay_warning_time": "10s",
            "message_size_limit": str(size),
            "mailbox_size_limit": "0",
            # Else this machine has no limits.
            "smtpd_client_event_limit_exceptions": "",
            **limits,
        }
        self.write("etc/postfix/main.cf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
        services = "\n".join(line.strip() for line in self.services.strip().splitlines())
        self.write("etc/postfix/master.cf", f"127.0.0.1:{self.port} inet n - n - - smtpd\n{services}\n")
        self.write("etc/postfix/sasl/smtpd.conf",
                   "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: /etc/sasldb2\n")
        self.run("/usr/sbin/saslpasswd2", "-p", "-c", "-f", "/etc/sasldb2", "-u", "relay.example", USER, text=PASSWORD)
        os.chown(self.root / "etc/sasldb2", 901, 901)

    def command(self):
        return ["/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix"]


class Exim(Server):
    name = "exim"
    users = [("Debian-exim", 911, "/var/spool/exim4"), ("mail", 8, "/var/mail")]
    folders = [("var/spool/exim4", 911, 0o750), ("var/log/exim4", 911, 0o750), ("run/exim4", 911, 0o755)]
    key_owner = 911

    def version(self):
        return self.run("/usr/sbin/exim4", "-bV").split()[2]

    def configure(self, size=50_000_000, per_connection=1000, per_host=0):
        self.write("etc/exim4/exim4.conf", rf"""
primary_hostname = relay.example
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
pid_file_path = /run/exim4/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = /etc/tls/relay.crt
tls_privatekey = /etc/tls/relay.key
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
dsn_advertise_hosts = *
message_size_limit = {size}
smtp_accept_max_per_connection = {per_connection}
smtp_accept_max_per_host = {per_host}
smtp_accept_queue_per_connection = 0
delay_warning = 10s
acl_smtp_rcpt = recipient
keep_environment =

begin acl
recipient:
  accept authenticated = *
  deny message = relay not permitted

begin routers
away:
  driver = manualroute
  domains = away.example
  transport = away
  route_list = * 127.0.0.1
  self = send
all:
  driver = manualroute
  transport = next
  route_list = * 127.0.0.1
  self = send

begin transports
away:
  driver = smtp
  port = {self.nobody}
  allow_localhost
next:
  driver = smtp
  port = {self.next_hop}
  allow_localhost
  hosts_try_fastopen =

begin retry
* * F,{LIFETIME}s,4s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
""")

    def command(self):
        return ["/usr/sbin/exim4", "-bdf", "-q3s"]


class OpenSmtpd(Server):
    name = "opensmtpd"
    users = [("opensmtpd", 921, "/var/lib/opensmtpd/empty"), ("opensmtpq", 922, "/var/lib/opensmtpd/empty")]
    folders = [
        ("var/lib/opensmtpd/empty", 0, 0o755), ("var/run", 0, 0o755), ("run", 0, 0o755), ("var/spool", 0, 0o755),
        ("var/spool/smtpd", 0, 0o711),
    ]

    def version(self):
        said = self.run("/usr/sbin/smtpd", "-h")
        return next((line.split()[-1] for line in said.splitlines() if line.startswith("version")), said)

    def configure(self, size=50_000_000, mails=100):
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
        ).stdout.strip()
        safe, signed_in = ("tls-require pki relay.example auth <users>", "auth") if self.has_tls else ("", "")
        self.write("etc/smtpd.conf", f"""
pki relay.example cert "/etc/tls/relay.crt"
pki relay.example key "/etc/tls/relay.key"
table users {{ {USER} = "{hashed}" }}
queue ttl {LIFETIME}s
bounce warn-interval 10s
smtp max-message-size {size}
smtp limit max-mails {mails}
listen on 127.0.0.1 port {self.port} {safe} hostname relay.example
action "away" relay host smtp://127.0.0.2:{self.nobody}
action "next" relay host smtp://127.0.0.1:{self.next_hop}
match from any {signed_in} for domain "away.example" action "away"
match from any {signed_in} for any action "next"
match from local for any action "next"
""", 0, 0o600)

    def command(self):
        return ["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"]
