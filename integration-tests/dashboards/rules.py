"""The rules by Debian's promtool: their syntax, their unit tests, and the metrics that they read."""

import re
import subprocess

from process import get, prometheus


def promtool(*words, given=None):
    """Its exit code and what it said."""
    ended = subprocess.run([prometheus("promtool"), *map(str, words)], capture_output=True, text=True, input=given)
    return ended.returncode, (ended.stdout + ended.stderr).strip()


def check_files(folder):
    failures = []
    files = sorted(folder.glob("adit-*.yml"))
    tests = sorted((folder / "tests").glob("*.yml"))
    calls = [("check", "rules", *files), ("check", "config", folder / "prometheus.yml"), ("test", "rules", *tests)]
    for call in calls:
        code, said = promtool(*call)
        if code:
            failures.append(f"promtool {' '.join(map(str, call[:2]))}: {said}")
    # Each alert has a test in which it fires; that it is silent while all is well is what healthy.yml says of all of them.
    text = (folder / "adit-alerts.yml").read_text()
    alerts = set(re.findall(r"- alert: (\w+)", text))
    fire = set(re.findall(r'alertname="(\w+)"', "".join(test.read_text() for test in tests)))
    failures += [f"no test lets {alert} fire" for alert in sorted(alerts - fire)]
    failures += [f"the tests name an alert that there is not: {alert}" for alert in sorted(fire - alerts)]
    page = (folder.parents[1] / "docs/dashboards.md").read_text()
    listed = set(re.findall(r"^\| `(Adit\w+)` \| (\w+) \|", page, re.M))
    severities = set(re.findall(r"- alert: (\w+)\n(?:(?!- alert).)*?severity: (\w+)", text, re.S))
    failures += [f"docs/dashboards.md and the rules differ in {one}" for one in sorted(listed ^ severities)]
    checks = sum(len(re.findall(r"eval_time:", test.read_text())) for test in tests)
    print(f"dashboards: {len(alerts)} alerts, each fires in a test; {checks} checks in {len(tests)} files of tests")
    return failures


def check_metrics(targets):
    failures = []
    for target in targets:
        code, said = promtool("check", "metrics", given=get(f"http://{target}/metrics"))
        # It complains with exit code 0, too.
        if code or said:
            failures.append(f"promtool check metrics, {target}: {said}")
    return failures
