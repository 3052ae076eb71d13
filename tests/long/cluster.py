"""Three Postgres nodes under Patroni, and etcd: each node is a network namespace at the end of a cable that can be cut.

Replication is synchronous and strict: what is acknowledged is on two nodes. No disk is waited for (fsync is off), since no
machine loses its power here.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from processes import HUB, WORK, Program, run, status_of, wait

SIZE = "600m"
BIN = Path(sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))[-1])
AS_POSTGRES = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]


class Node:
    def __init__(self, number):
        self.name, self.address = f"node{number}", f"192.0.2.{10 + number}"
        self.cable = f"cable{number}"
        self.folder = WORK / self.name
        self.folder.mkdir()
        # A disk of its own, which can be filled.
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(self.folder))
        shutil.chown(self.folder, "postgres", "postgres")
        # Somebody must live in the namespace for it to stay.
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        wait("a namespace", 5, lambda: self.namespace() != os.readlink("/proc/self/ns/net"))
        self.lay_cable()
        self.configure()
        self.patroni = Program(self.name, [*self.inside(), *AS_POSTGRES, "patroni", str(self.folder / "patroni.yml")])

    def namespace(self, pid=None):
        try:
            return os.readlink(f"/proc/{pid or self.holder.pid}/ns/net")
        except OSError:
            return None

    def inside(self):
        return ["nsenter", "--target", str(self.holder.pid), "--net"]

    def lay_cable(self):
        end = f"eth{self.cable}"
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", end, "netns", str(self.holder.pid))
        run("ip", "link", "set", self.cable, "master", "hub", "up")
        run(*self.inside(), "ip", "link", "set", "lo", "up")
        run(*self.inside(), "ip", "address", "add", f"{self.address}/24", "dev", end)
        run(*self.inside(), "ip", "link", "set", end, "up")
        # As if a router were between: where the cable is cut nobody says that the host is not there.
        shown = json.loads(run(*self.inside(), "ip", "-json", "link", "show", "dev", end))
        run("ip", "neighbor", "replace", self.address, "lladdr", shown[0]["address"], "dev", "hub", "nud", "permanent")

    def configure(self):
        parameters = {
            "max_connections": 40, "fsync": "off", "shared_buffers": "64MB", "max_wal_size": "128MB", "wal_keep_size": "64MB",
            "logging_collector": "off", "log_line_prefix": "%m [%p] %u ", "unix_socket_directories": str(self.folder),
            "lc_messages": "C",
        }
        common = {
            # The fastest that Patroni takes, but for the loop.
            "ttl": 20, "loop_wait": 2, "retry_timeout": 3, "primary_start_timeout": 0, "master_start_timeout": 0,
            "synchronous_mode": True, "synchronous_mode_strict": True,
            "postgresql": {"use_pg_rewind": True, "parameters": parameters},
        }
        everybody = ["local all all trust", "host all all 192.0.2.0/24 trust", "host replication all 192.0.2.0/24 trust"]
        at = f"{self.address}:8008"
        config = {
            "scope": "enlist", "name": self.name,
            "restapi": {"listen": at, "connect_address": at},
            "etcd3": {"hosts": f"{HUB}:2379"},
            "watchdog": {"mode": "off"},
            "bootstrap": {"dcs": common, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"]},
            "postgresql": {
                "listen": f"{self.address}:5432", "connect_address": f"{self.address}:5432", "bin_dir": str(BIN),
                "data_dir": str(self.folder / "data"), "pgpass": str(self.folder / "pgpass"), "pg_hba": everybody,
                "parameters": parameters, "remove_data_directory_on_diverged_timelines": True,
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
            },
        }
        (self.folder / "patroni.yml").write_text(json.dumps(config, indent=1))

    def start(self):
        self.patroni.start()

    def processes(self, named=""):
        """All that runs on this node, or what is called so."""
        namespace, found = self.namespace(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.holder.pid and self.namespace(entry.name) == namespace:
                try:
                    title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if named in title:
                    found.append(int(entry.name))
        return found

    def send(self, number, named=""):
        for pid in self.processes(named):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        # Patroni starts what ends: so until nobody is left.
        wait(f"{self.name} is dead", 10, lambda: not self.processes() or self.send(signal.SIGKILL))

    def cut(self):
        run("ip", "link", "set", self.cable, "down")

    def mend(self):
        run("ip", "link", "set", self.cable, "up")

    def leads(self):
        return status_of(f"http://{self.address}:8008/primary") == 200

    def is_synchronous(self):
        return status_of(f"http://{self.address}:8008/synchronous") == 200

    def sql(self, text, seconds=20, user="postgres", database="enlist"):
        """The rows, as lists of strings."""
        url = f"host={self.address} user={user} dbname={database} connect_timeout=3 application_name=long"
        out = run("psql", "-qXAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", url, given=text, seconds=seconds)
        return [line.split("\t") for line in out.splitlines()]


class Cluster:
    def __init__(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "hub", "type", "bridge")
        run("ip", "address", "add", f"{HUB}/24", "dev", "hub")
        run("ip", "link", "set", "hub", "up")
        at = f"http://{HUB}:2379"
        self.etcd = Program("etcd", [
            "etcd", "--name", "one", "--data-dir", str(WORK / "etcd"), "--listen-client-urls", at, "--advertise-client-urls", at,
            "--listen-peer-urls", f"http://{HUB}:2380", "--initial-advertise-peer-urls", f"http://{HUB}:2380",
            "--initial-cluster", f"one=http://{HUB}:2380", "--unsafe-no-fsync", "--log-level", "error",
        ])
        self.etcd.start()
        self.nodes = [Node(number) for number in (1, 2, 3)]

    def start(self):
        wait("etcd answers", 20, lambda: status_of(f"http://{HUB}:2379/health") == 200)
        for node in self.nodes:
            node.start()
        wait("the cluster is whole", 120, self.is_whole, 0.5)
        self.primary().sql("CREATE ROLE enlist LOGIN", database="postgres")
        self.primary().sql("CREATE DATABASE enlist OWNER enlist", database="postgres")
        # A host that does not know the database ends the search for one that can be written to.
        for node in self.nodes:
            known = "SELECT 1 FROM pg_database WHERE datname = 'enlist'"
            wait("everybody knows it", 20, lambda: node.sql(known, database="postgres"))

    def primary(self, seconds=90, other_than=None):
        """Who leads; waits until somebody does."""
        def found():
            return next((node for node in self.nodes if node is not other_than and node.leads()), None)
        return wait("somebody leads", seconds, found)

    def standbys(self):
        """The synchronous one first, as Patroni has it: Postgres alone calls any one so while Patroni has none yet."""
        return sorted((node for node in self.nodes if not node.leads()), key=lambda node: not node.is_synchronous())

    def is_whole(self):
        primary = next((node for node in self.nodes if node.leads()), None)
        if primary is None or not any(node.is_synchronous() for node in self.nodes):
            return False
        try:
            rows = primary.sql("SELECT pid FROM pg_stat_replication WHERE state = 'streaming'", database="postgres")
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
        return len(rows) == len(self.nodes) - 1

    def heal(self):
        """Whatever a fault left behind."""
        if not self.etcd.runs():
            self.etcd.start()
        for node in self.nodes:
            node.send(signal.SIGCONT)
            node.mend()
            if not node.patroni.runs():
                node.start()
        wait("the cluster is whole", 120, self.is_whole, 0.5)

    def ctl(self, *arguments):
        return run("patronictl", "-c", str(self.nodes[0].folder / "patroni.yml"), *arguments)

    def url(self):
        hosts = ",".join(node.address for node in self.nodes)
        return f"postgres://enlist@{hosts}/enlist"


class Watch:
    """Notes when another node begins to lead."""

    def __init__(self, cluster):
        self.cluster, self.changes, self.last = cluster, [], None

    def look(self):
        while True:
            leading = next((node.name for node in self.cluster.nodes if node.leads()), None)
            if leading and leading != self.last:
                self.changes.append((time.monotonic(), leading))
                self.last = leading
            time.sleep(0.25)

    def since(self, begin):
        return next((at for at, _ in self.changes if at > begin), None)
