"""What the runs in perf/ share: the machine, the servers, verdicts of a client, tables."""
