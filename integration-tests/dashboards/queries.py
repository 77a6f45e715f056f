"""Every question of the board and of the rules, put to a Prometheus that has seen a farm: none may be refused, name
what there is not, or have no answer without a reason."""

import re

import board
import farm

# Questions of the board that may have no answer on a farm on which all goes well, and why.
EMPTY_BOARD = {}
# Selectors in rules that may have no series, and why.
EMPTY_RULES = {
    "adit_alarm{alarm!~": "picks alarms that have no alert of their own, of which there are none",
}
# Metrics that neither board nor rules read, and why.
UNREAD = {
    "adit_goal_open": "the part wanted is 0 while a goal is closed",
    "adit_goal_weight": "the part wanted follows from it",
    "adit_http_streams": "few at most, and of no consequence to anybody else",
    "adit_nats_connected": "the alarm nats_degraded says it, after a while",
    "adit_nats_in_flight": "bounded, and of no consequence",
    "adit_nats_waiting_bytes": "their age says more",
    "adit_source_worker_names": "does not change while a pool is connected",
    "process_start_time_seconds": "adit_uptime_seconds says it",
    "process_virtual_memory_bytes": "says nothing of memory in use",
}

SELECTOR = re.compile(r"\b((?:adit|process)_\w+|instance\w*:[\w:]+|up(?=\{))(\{[^}]*\})?")


def check(running, root):
    failures = check_board(running, board.load(root / "config/grafana/adit.json"))
    failures += check_rules(running)
    failures += check_pages(running, root)
    failures += check_every_metric(running, root)
    return failures


def plain(expression):
    """As Grafana asks it, with everything chosen."""
    for name, value in (("__rate_interval", farm.WINDOW), ("__range", farm.WINDOW)):
        expression = expression.replace(f"${name}", value)
    return re.sub(r"\$\{?(?:instance|route|source|listener|worker)\}?", ".*", expression)


def check_board(running, shown):
    failures, asked, excused = [], 0, set()

    def ask(name, expression, legend):
        nonlocal asked
        asked += 1
        series, complaint = running.query(plain(expression))
        if complaint:
            failures.append(f"{name}: {complaint}: {expression}")
            return
        failures.extend(f"{name}: {problem}" for problem in unknown_labels(running, plain(expression)))
        reason = next((reason for words, reason in EMPTY_BOARD.items() if words in expression), None)
        if not [one for one in series if one["value"][1] != "NaN"]:
            excused.add(name) if reason else failures.append(f"{name}: no answer: {plain(expression)}")
            return
        if reason:
            failures.append(f"{name}: has an answer, though EMPTY_BOARD says that it may have none")
        for label in re.findall(r"\{\{(\w+)\}\}", legend):
            if not any(label in one["metric"] for one in series):
                failures.append(f"{name}: no series has the legend's label {label}")

    for panel in board.panels(shown):
        for target in panel["targets"]:
            ask(f"panel {panel['title']!r} {target['refId']}", target["expr"], target["legendFormat"])
    for variable in shown["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
            ask(f"variable {variable['name']}", f"count by ({label}) ({metric})", f"{{{{{label}}}}}")
    for annotation in shown["annotations"]["list"]:
        if "expr" in annotation:
            # Mostly nothing has happened: what it looks at must be there.
            failures.extend(unseen(running, annotation["name"], plain(annotation["expr"]), {}))
    print(f"dashboards: {asked} questions of the board answered, {len(excused)} with nothing for a stated reason")
    return failures


def check_rules(running):
    data, complaint = running.api("rules")
    assert not complaint, complaint
    failures, alerts, records = [], 0, 0
    for rule in (rule for group in data["groups"] for rule in group["rules"]):
        name = rule["name"]
        if rule["health"] != "ok":
            failures.append(f"rule {name}: {rule['health']}: {rule.get('lastError')}")
        failures.extend(unseen(running, name, rule["query"], EMPTY_RULES))
        failures.extend(f"rule {name}: {problem}" for problem in unknown_labels(running, rule["query"]))
        if rule["type"] == "recording":
            records += 1
            series, _ = running.query(name)
            if not [one for one in series or [] if one["value"][1] != "NaN"]:
                failures.append(f"rule {name} has recorded nothing")
        else:
            alerts += 1
            for word in ("summary", "description"):
                if word not in rule["annotations"]:
                    failures.append(f"alert {name} has no {word}")
            if rule["labels"].get("severity") not in ("critical", "warning", "info"):
                failures.append(f"alert {name}: severity {rule['labels']}")
    firing = [alert for alert in running.api("alerts")[0]["alerts"] if alert["state"] == "firing"]
    names = sorted({alert["labels"]["alertname"] for alert in firing})
    print(f"dashboards: {records} recording rules and {alerts} alerts evaluated; firing on the farm: {', '.join(names) or 'none'}")
    return failures


def check_pages(running, root):
    """Questions that the documentation shows, each a block of its own."""
    failures, asked = [], 0
    for page in sorted((root / "docs").rglob("*.md")):
        for question in re.findall(r"^```promql\n(.*?)^```", page.read_text(), re.M | re.S):
            asked += 1
            series, complaint = running.query(question)
            if complaint or not series:
                failures.append(f"{page.name}: {complaint or 'no answer'}: {question}")
            failures.extend(f"{page.name}: {problem}" for problem in unknown_labels(running, question))
    print(f"dashboards: {asked} questions of the documentation answered")
    return failures


def unseen(running, name, expression, excuses):
    """Selectors of an expression that have no series, comparisons aside."""
    for metric, labels in SELECTOR.findall(expression):
        selector = metric + labels
        if any(selector.startswith(words) for words in excuses):
            selector = metric
        if running.value(f"count({selector})") < 1:
            yield f"{name}: nothing has {selector}"


def unknown_labels(running, expression):
    """Labels that an expression picks or groups by, and that no series of its metrics has."""
    metrics = {metric for metric, _ in SELECTOR.findall(expression)}
    known = {"le"}
    for metric in metrics:
        known |= set(running.api("labels", **{"match[]": metric})[0])
    named = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))
    for group in re.findall(r"\b(?:by|on|without|group_left|ignoring)\s*\(([^)]*)\)", expression):
        named |= {word.strip() for word in group.split(",") if word.strip()}
    for label in sorted(named - known):
        yield f"no series has the label {label}: {expression}"


def check_every_metric(running, root):
    """What docs/metrics.md lists is there, and somebody looks at it."""
    table = re.findall(r"^\| `((?:adit|process)_\w+)` \| (\w+) \|", (root / "docs/metrics.md").read_text(), re.M)
    texts = [(root / "config/grafana/adit.json").read_text()]
    texts += [(root / "config/prometheus" / f"adit-{kind}.yml").read_text() for kind in ("alerts", "recording")]
    read = {re.sub(r"_(bucket|sum|count)$", "", name) for text in texts for name in re.findall(r"\b(?:adit|process)_\w+", text)}
    failures = []
    for metric, kind in table:
        series = f"{metric}_count" if kind == "histogram" else metric
        if running.value(f"count({series})") < 1:
            failures.append(f"{metric}: no Adit of the farm has it")
        if metric not in read and metric not in UNREAD:
            failures.append(f"{metric} is neither on the board nor in a rule")
        if metric in read and metric in UNREAD:
            failures.append(f"{metric} is looked at, though UNREAD says that it is not")
    failures += [f"UNREAD names {metric}, which there is not" for metric in UNREAD.keys() - {name for name, _ in table}]
    print(f"dashboards: {len(table)} metrics, all with series, {len(UNREAD)} on no board for a stated reason")
    return failures
