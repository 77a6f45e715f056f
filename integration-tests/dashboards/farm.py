"""Two Adits that have something of everything, and a Prometheus that asks them.

One is `adit run` between miners and two pools of our own, of which one goes and comes back; the other is `adit demo
--declare`, which has templates and declares them. Everything listens on loopback.
"""

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from process import Process, adit, free_port, get, prometheus

# Prometheus asks this often. Windows of the board that follow the scrape interval are made this long.
SCRAPE = "1s"
WINDOW = "10s"
# At least so many seconds of scrapes before questions are asked of them.
SCRAPED = 14


class Farm:
    def __init__(self, folder, root):
        self.folder, self.root, self.processes = folder, root, []
        # The moment that is asked about: now, or a time in Unix seconds.
        self.at = None

    def __enter__(self):
        try:
            self.broker()
            self.pools()
            self.adits()
            self.scrape()
            self.miners()
            self.trouble()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop(signal.SIGKILL)

    def start(self, name, *command):
        process = Process(name, command, self.folder / f"{name}.log")
        self.processes.append(process)
        return process

    def broker(self):
        """Debian's NATS server, which the ledger is published to."""
        self.broker_port = free_port()
        config = self.folder / "nats.conf"
        config.write_text(f'listen: "127.0.0.1:{self.broker_port}"\njetstream {{ store_dir: "{self.folder}/jetstream" }}\n')
        self.start("nats", prometheus("nats-server"), "--config", config)

    def pools(self):
        self.urls = {}
        for name, chain in (("first", 0), ("second", 1)):
            key = self.folder / f"{name}.key"
            said = subprocess.run([adit(), "keys"], capture_output=True, text=True, check=True).stdout
            public, secret = re.findall(r'= "(\w+)"', said)
            key.write_text(secret)
            port = free_port()
            self.urls[name] = f"stratum2+tcp://127.0.0.1:{port}/{public}"
            pool = self.start(
                f"pool-{name}", adit(), "pool", "--listen", f"127.0.0.1:{port}", "--secret-key-file", key,
                "--share-batch-size", 1, "--chain", chain, "--block-interval", 6, "--shares-per-minute", 600,
            )
            pool.wait_for("it listens", lambda pool=pool: "dev pool listens" in pool.log())
            setattr(self, name, pool)

    def adits(self):
        self.miners_port, self.http_port = free_port(), free_port()
        config = self.folder / "adit.toml"
        config.write_text(f"""
version = 1
[listener.main]
listen = "127.0.0.1:{self.miners_port}"
difficulty_min = 1e-7
difficulty_start = 1e-6
shares_per_minute = 240
[source.first]
url = "{self.urls['first']}"
user_identity = "farm"
[source.second]
url = "{self.urls['second']}"
user_identity = "farm"
[route.main]
listeners = ["main"]
sources = ["first", "second"]
return_after = "2s"
[http]
listen = "127.0.0.1:{self.http_port}"
[state]
directory = "{self.folder}/state"
[nats]
servers = ["nats://127.0.0.1:{self.broker_port}"]
name = "farm"
""")
        proxy = self.start("adit", adit(), "run", "--config", config)
        self.ask = f"http://127.0.0.1:{self.http_port}"
        proxy.wait_for("it is ready", lambda: get(self.ask + "/readyz"))
        demo = self.start("demo", adit(), "demo", "--declare", "--seconds", 1800)
        found = demo.wait_for("it says where it is", lambda: re.search(r"http://(127[0-9.:]+)/", demo.log()))
        self.targets = [f"127.0.0.1:{self.http_port}", found.group(1)]

    def miners(self):
        address = f"stratum+tcp://127.0.0.1:{self.miners_port}"
        for number in (1, 2):
            self.start(
                f"miner-{number}", adit(), "miner", address, "--user", f"farm.rig{number}",
                "--hashes-per-second", 40000, "--password", "x",
            )
        self.start("load", adit(), "load", address, "--miners", 5, "--shares-per-second", 40, "--seconds", 1800,
                   "--user", "farm.load", "--password", "d=1e-7")
        self.prometheus.wait_for("shares are acknowledged", lambda: self.value(
            'sum(adit_shares_total{instance="%s",state="acknowledged"})' % self.targets[0]) > 5)

    def trouble(self):
        """The first pool goes and comes back: a fail-over, and handshakes after the first scrape."""
        switches = 'sum(adit_route_switches_total{instance="%s"})' % self.targets[0]
        oldest = 'min(count_over_time(up{job="adit"}[10m]))'
        self.prometheus.wait_for("there is enough to ask for", lambda: self.value(oldest) >= SCRAPED)
        # From the second's jobs on, that is: the first is gone.
        self.first.stop(signal.SIGKILL)
        self.prometheus.wait_for("the route goes to the second pool", lambda: self.value(
            'adit_route_source_active{source="second"}') == 1)
        self.first.start()
        self.prometheus.wait_for("the route goes back", lambda: self.value(
            'adit_route_source_active{source="first"}') == 1)
        self.prometheus.wait_for("switches are counted", lambda: self.value(switches) >= 2)
        # However long all the questions take, they are about the moment right after that.
        self.prometheus.wait_for("a moment at which both Adits have answered", self.both_answered)

    def both_answered(self):
        self.at = time.time()
        return self.value('sum(up{job="adit"})') == 2

    def scrape(self):
        """Debian's Prometheus with the project's rules, asking and judging each second."""
        port = free_port()
        config = self.folder / "prometheus.yml"
        rules = self.root / "config/prometheus"
        config.write_text(json.dumps({
            "global": {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": SCRAPE},
            "rule_files": [str(rules / "adit-recording.yml"), str(rules / "adit-alerts.yml")],
            "scrape_configs": [{"job_name": "adit", "static_configs": [{"targets": self.targets}]}],
        }))
        self.prometheus = self.start(
            "prometheus", prometheus("prometheus"), f"--config.file={config}",
            f"--storage.tsdb.path={self.folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}",
        )
        self.api_url = f"http://127.0.0.1:{port}/api/v1/"
        self.prometheus.wait_for("it is ready", lambda: get(f"http://127.0.0.1:{port}/-/ready"))
        self.prometheus.wait_for("both Adits answer", lambda: self.value('sum(up{job="adit"})') == 2)

    def api(self, path, **parameters):
        """An answer of Prometheus' HTTP interface: what it has, or its complaint."""
        url = self.api_url + path + "?" + urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"], None
        except urllib.error.HTTPError as error:
            return None, json.load(error).get("error", str(error))

    def query(self, expression):
        """The series that an expression has at the moment that is asked about, or the complaint."""
        moment = {} if self.at is None else {"time": self.at}
        data, complaint = self.api("query", query=expression, **moment)
        if complaint:
            return None, complaint
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}], None
        return data["result"], None

    def value(self, expression):
        series, complaint = self.query(expression)
        if complaint:
            raise SystemExit(f"{expression}: {complaint}")
        return float(series[0]["value"][1]) if series else -1.0

    def check(self):
        """What two ways of counting say of one thing."""
        failures, self.at = [], None
        # When the miners have left, what goals have counted is what the books have, but for rounding.
        for process in self.processes:
            if process.name.startswith(("miner", "load")):
                process.stop()
        adit = 'instance="%s"' % self.targets[0]
        gap = f"abs(1 - sum(adit_goal_work_hashes_total{{{adit}}}) / 2^32 / sum(adit_work_verified_total{{{adit}}}))"
        self.prometheus.wait_for("goals and books have counted the same work", lambda: 0 <= self.value(gap) < 1e-9)
        work = self.value(f"sum(adit_work_verified_total{{{adit}}})")
        print(f"dashboards: goals and books have counted the same work: {work * 2**32:.3g} hashes, to {self.value(gap):.0e}")
        return failures
