"""Two instances of `enlist serve`, and what stands before and behind them: haproxy, nginx, PgBouncer."""

import base64
import os
import signal
import subprocess
import time
from pathlib import Path

from cluster import AS_POSTGRES
from processes import HUB, WORK, Program, status_of, wait
from sink import PORT as SMTP_PORT

BINARY = str(Path(os.environ["ENLIST_LONG_BINARY"]).resolve())
PORTS = {"one": 8081, "two": 8082, "three": 8083}
HAPROXY_PORT, NGINX_PORT, POOLER_PORT = 8080, 8090, 6432
SECRET_KEYS = "k1:" + base64.b64encode(os.urandom(32)).decode()


class Instance(Program):
    def __init__(self, name, database):
        self.helo = f"{name}.example.com"
        # When it could suddenly do nothing any more.
        self.port, self.gone = PORTS[name], []
        super().__init__(name, [BINARY, "serve"], {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database,
            "ENLIST_LISTEN": f"{HUB}:{self.port}",
            "ENLIST_PUBLIC_URL": "https://enlist.example.com",
            "ENLIST_SECRET_KEYS": SECRET_KEYS,
            "ENLIST_SMTP_URL": f"smtp://{HUB}:{SMTP_PORT}?tls=none",
            # So the sink knows who brought a mail.
            "ENLIST_SMTP_HELO": self.helo,
            "ENLIST_MAIL_FROM": "Example IT <it@example.com>",
            "ENLIST_TRUSTED_PROXIES": HUB,
            # All of it comes from one address with one key.
            "ENLIST_LIMIT_CLIENT": "100000", "ENLIST_LIMIT_KEY": "100000", "ENLIST_LIMIT_SECRETS": "100000",
            "ENLIST_LOG": "info",
        })
        self.usual = self.environment

    def is_ready(self):
        return status_of(f"http://{HUB}:{self.port}/readyz", 2) == 200

    def begin(self, seconds=60):
        """Starts it and waits until it is ready, it and no other."""
        wait("the port is free", 10, lambda: status_of(f"http://{HUB}:{self.port}/healthz") is None)
        self.start()
        wait(f"{self.name} is ready", seconds, lambda: self.is_ready() or not self.runs())
        if not self.runs():
            raise RuntimeError(f"{self.name} ended: {self.said()[-2000:]}")

    def begin_again(self, **settings):
        """As ever but for these."""
        if self.runs():
            self.stop()
        self.environment = {**self.usual, **settings}
        self.begin()

    def kill(self):
        self.gone.append(time.monotonic())
        super().kill()

    def freeze(self):
        self.gone.append(time.monotonic())
        self.send(signal.SIGSTOP)

    def shell(self, *arguments, seconds=60):
        done = subprocess.run(
            [BINARY, *arguments], env=self.environment, capture_output=True, text=True, timeout=seconds, cwd=WORK
        )
        if done.returncode:
            raise RuntimeError(f"enlist {arguments[0]}: {done.returncode} {done.stderr}")
        return done.stdout.strip()


class Haproxy(Program):
    def __init__(self):
        config = WORK / "haproxy.cfg"
        servers = "\n".join(f"    server {name} {HUB}:{PORTS[name]} check" for name in ("one", "two"))
        config.write_text(f"""
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 2s
    option redispatch
    option httpchk GET /readyz
    option forwardfor
    default-server inter 1s fall 2 rise 1
frontend clients
    bind {HUB}:{HAPROXY_PORT}
    default_backend enlist
backend enlist
    balance roundrobin
{servers}
""")
        super().__init__("haproxy", ["/usr/sbin/haproxy", "-W", "-db", "-f", str(config)])
        self.port = HAPROXY_PORT

    def begin(self):
        self.start()
        wait("haproxy answers", 10, lambda: status_of(f"http://{HUB}:{self.port}/healthz") == 200)


class Nginx(Program):
    """Asks nobody how they are: it tries, and tries the other one where a connection is refused. It must not remember that
    (`max_fails=0`), or after two restarts within ten seconds it takes both for dead.
    """

    def __init__(self):
        config = WORK / "nginx.conf"
        servers = "\n".join(f"server {HUB}:{PORTS[name]} max_fails=0;" for name in ("one", "two"))
        config.write_text(f"""
daemon off;
pid {WORK}/nginx.pid;
error_log {WORK}/nginx-errors.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {WORK}/nginx-body;
    proxy_temp_path {WORK}/nginx-proxy;
    fastcgi_temp_path {WORK}/nginx-fastcgi;
    uwsgi_temp_path {WORK}/nginx-uwsgi;
    scgi_temp_path {WORK}/nginx-scgi;
    upstream enlist {{
        {servers}
        keepalive 16;
    }}
    server {{
        listen {HUB}:{NGINX_PORT};
        location / {{
            proxy_pass http://enlist;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_connect_timeout 2s;
        }}
    }}
}}
""")
        super().__init__("nginx", ["/usr/sbin/nginx", "-e", str(WORK / "nginx-errors.log"), "-c", str(config)])
        self.port = NGINX_PORT

    def begin(self):
        self.start()
        wait("nginx answers", 10, lambda: status_of(f"http://{HUB}:{self.port}/healthz") == 200)


class PgBouncer(Program):
    def __init__(self, mode, node):
        config = WORK / f"pgbouncer-{mode}.ini"
        config.write_text(f"""
[databases]
enlist = user=enlist host={node.address} port=5432 dbname=enlist
[pgbouncer]
listen_addr = {HUB}
listen_port = {POOLER_PORT}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 15
ignore_startup_parameters = extra_float_digits
""")
        super().__init__(f"pgbouncer-{mode}", [*AS_POSTGRES, "/usr/sbin/pgbouncer", str(config)])
        self.url = f"postgres://enlist@{HUB}:{POOLER_PORT}/enlist"
