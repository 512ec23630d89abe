"""The tables of a comparison."""
from . import table


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def of_work(work, rounds, figures, doubts):
    """What one work costs each server."""
    has_latency = any("latency_us" in report for reports in rounds.values() for report in reports)
    head = ["server", work.unit, "spread", "to ours"] + (["p50", "p99", "busy"] if has_latency else [])
    rows = []
    for label, values in figures.items():
        median, spread = table.median_and_spread(values)
        row = [label, number(median), f"{spread:.0f} %", f"{table.ratio(values, figures['portcullis']):.2f}"]
        if has_latency:
            busy, _ = table.median_and_spread([report["server_busy"] for report in rounds[label]])
            row += [*quantiles(rounds[label]), f"{busy * 100:.0f} %"]
        rows.append(row)
    table.show(f"{work.key}: {work.title}", head, rows)
    not_counted(doubts)


def of_half(work, rounds, doubts):
    """What latency is at half of each server's capacity."""
    rows = []
    for label, reports in rounds.items():
        _, spread = table.median_and_spread([report["latency_us"]["p99"] for report in reports])
        did, _ = table.median_and_spread([report["done_per_second"] for report in reports])
        rows.append([label, f"{reports[0]['rate']:.0f}", f"{did:.0f}", *quantiles(reports), f"{spread:.0f} %"])
    title = f"{work.key}: latency in an open loop at half of what each server can do"
    table.show(title, ["server", "due a second", "done a second", "p50", "p99", "spread"], rows)
    not_counted(doubts)


def summary(works, servers):
    """What each work costs each of these, and which goals hold."""
    rows = []
    for work in works:
        medians = {label: table.median_and_spread(values)[0] for label, values in work.figures.items()}
        row = [work.key, work.unit, *(number(medians[server]) if server in medians else "" for server in servers)]
        for judged in work.judged:
            rows.append([*row, *judged])
            # Its other goals have lines of their own.
            row = [""] * len(row)
    table.show("Medians, and what became of the goals", ["work", "", *servers, "goal", "reached", ""], rows)


def not_counted(doubts):
    if doubts:
        print(f"  not judged: {'; '.join(doubts)}")


def quantiles(reports):
    """p50 and p99 of a round, medians, in milliseconds."""
    medians = (
        table.median_and_spread([report["latency_us"][quantile] for report in reports])[0]
        for quantile in ("p50", "p99")
    )
    return [f"{median / 1_000:.2f} ms" for median in medians]
