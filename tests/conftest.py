"""What every test shares: the seconds that each folder took, at the end of a run."""

from collections import Counter


def pytest_terminal_summary(terminalreporter):
    seconds: Counter = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration"):
                seconds["/".join(report.nodeid.split("::")[0].split("/")[:2])] += report.duration
    if seconds:
        terminalreporter.section("seconds by folder")
        for folder, spent in seconds.most_common():
            terminalreporter.write_line(f"{spent:8.1f}  {folder}")
