"""What must hold of the Grafana board, without a Grafana: the parts of its schema that it uses."""

import json
import re

KINDS = {"row", "timeseries", "stat", "table", "state-timeline", "heatmap"}
WIDTH = 24
# Set by Grafana itself.
BUILT_IN = {"__range", "__rate_interval"}


def load(path):
    return json.loads(path.read_text())


def panels(board):
    """Every panel that shows something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def check(path):
    board = load(path)
    failures = []

    def must(holds, what):
        if not holds:
            failures.append(f"{path.name}: {what}")

    # 36 is Grafana 9, 39 Grafana 10.4 and later; each reads what is older.
    must(36 <= board["schemaVersion"] <= 39, f"schemaVersion {board['schemaVersion']}")
    must(board["uid"] and board["title"] and board["description"], "uid, title and description")
    must("id" not in board or board["id"] is None, "an id of the Grafana that it comes from")
    ids = [panel["id"] for panel in board["panels"]]
    must(len(ids) == len(set(ids)), "panels have the same id")
    titles = [panel["title"] for panel in panels(board)]
    must(len(titles) == len(set(titles)), f"panels have the same title: {[t for t in titles if titles.count(t) > 1]}")
    variables = {variable["name"] for variable in board["templating"]["list"]}
    must({"datasource", "instance", "route", "source", "listener"} <= variables, f"variables {variables}")
    taken = {}
    for panel in board["panels"]:
        name = f"panel {panel['title']!r}"
        must(panel["title"].strip(), f"{panel['id']} has no title")
        must(panel["type"] in KINDS, f"{name}: type {panel['type']}")
        at = panel["gridPos"]
        must(at["x"] >= 0 and at["w"] > 0 and at["h"] > 0 and at["x"] + at["w"] <= WIDTH, f"{name}: {at}")
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            must(cell not in taken, f"{name} lies over {taken.get(cell)}")
            taken[cell] = name
    for panel in panels(board):
        name = f"panel {panel['title']!r}"
        must(len(panel.get("description", "")) > 20, f"{name} has no description")
        must(panel["fieldConfig"]["defaults"].get("unit"), f"{name} has no unit")
        must(panel["datasource"]["uid"] == "${datasource}", f"{name}: datasource")
        must(panel["targets"], f"{name} asks nothing")
        names = [target["refId"] for target in panel["targets"]]
        must(len(names) == len(set(names)), f"{name}: refIds {names}")
        for target in panel["targets"]:
            must(target["datasource"]["uid"] == "${datasource}", f"{name}: datasource of {target['refId']}")
            used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
            must(used <= variables | BUILT_IN, f"{name}: variables {used - variables - BUILT_IN}")
            must('job="adit"' in target["expr"], f"{name}: any job's series are shown")
    print(f"dashboards: board of {len(panels(board))} panels in {len(ids) - len(panels(board))} rows")
    return failures
