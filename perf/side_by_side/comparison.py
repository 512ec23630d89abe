"""Compares servers in the works, in rotation, and judges the goals."""
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import NamedTuple

from . import machine, servers, shown, table, verdicts
from .goals import BEST, BROKEN, UNJUDGED, Goal, Judged, best, order_doubts
from .load import Load, did_too_little, measure
from .runs import Measured, say, say_broken
from .works import NO_LISTS, QUICK_ENTRIES

# At half of a server's capacity its p99 is to be no worse than the best peer's.
P99 = Goal(1.0, BEST)
# In a quick run; more operations than connections.
QUICK_COUNT = 100
QUICK_RATE = 200


class Comparison(Measured):
    def __init__(self, options, scratch, pki, commit, peers):
        super().__init__("compare", options, commit, [servers.Portcullis, *peers])
        self.scratch = scratch
        self.pki = pki
        self.peers = peers
        self.results["works"] = []
        self.judged = []

    @property
    def quick(self):
        return self.options.quick

    def check_refusals(self):
        """Every server must refuse an untrusted and a revoked client before it is compared in anything."""
        for server in (servers.Portcullis, *self.peers):
            with server(self.scratch, self.pki, lists=self.lists(QUICK_ENTRIES)) as running:
                verdicts.require(running, has_revoked=True)
        say("every server refuses the untrusted client and the revoked one, and lets others in")

    def lists(self, entries):
        return NO_LISTS if entries is None else (self.pki / "root.crl", self.pki / f"{entries}.crl")

    # One work.

    def compare(self, work):
        """Measures one work, shows its tables, judges its goals; where it fails, the run goes on with the next.

        What was judged before it failed stands.
        """
        calm = machine.Calm()
        kept = {"key": work.key, "title": work.title, "unit": work.unit, "answer_bytes": work.answer_bytes}
        self.results["works"].append(kept)
        try:
            self.measure_work(work, kept, calm)
        except (machine.Broken, *machine.CANNOT_RUN) as why:
            self.give_up(work, kept, why)
        finally:
            self.calm.add(calm)
            kept |= calm.told()

    def measure_work(self, work, kept, calm):
        """Puts what was measured into `kept`, and what was seen of the machine meanwhile into `calm`."""
        contenders = work.contenders(self.peers, self.quick)
        with ExitStack() as started:
            target = started.enter_context(servers.Target(self.scratch, self.pki)) if work.forwards else None
            if isinstance(work.load, Load):
                running = {one: started.enter_context(self.begun(work, one, target)) for one in contenders}
                # As many new clients as may come.
                new_clients = QUICK_COUNT if self.quick else int(10_000 * self.options.seconds)
                load = replace(work.load, new_clients=new_clients)
                pace = ["--count", QUICK_COUNT] if self.quick else ["--duration", self.options.seconds]

                def once(one, rate=None):
                    return measure(running[one], self.scratch, load, *pace, rate=rate)
            else:

                def once(one):
                    with self.begun(work, one, target) as fresh:
                        return work.load.measure(fresh, self.scratch, self.quick)

            kept["rounds"] = self.rounds(work.title, contenders, once, calm, warms_up=isinstance(work.load, Load))
            if not self.quick:
                self.judge_work(work, kept, calm.doubts() if work.load.is_of_time else [])
            if work.at_half:
                kept["at_half"] = self.at_half(work, contenders, once, kept["rounds"], calm)
                if not self.quick:
                    names = self.names(kept["rounds"])
                    self.judge_half(work, kept["at_half"], names, kept["doubts"] or calm.doubts())

    @contextmanager
    def begun(self, work, one, target):
        """A contender that runs, and does what is wanted."""
        say(f"{work.key}: starting {one.label}")
        wanted = work.wanted | {"lists": self.lists(one.entries), "target": target.port if target else None}
        with one.server(self.scratch, self.pki, **wanted) as server:
            verdicts.require(server, has_revoked=bool(one.entries))
            yield server

    def rounds(self, title, contenders, once, calm, warms_up=True):
        """Of each contender, by its label, one report for each round; a first round that `warms_up` has none."""
        reports = {one.label: [] for one in contenders}
        for turn in range(0 if warms_up and not self.quick else 1, self.results["rounds"] + 1):
            for one in contenders:
                if not self.quick:
                    calm.calibrate()
                say(f"round {turn} of {self.results['rounds']}: {title}, {one.label}")
                report = once(one)
                if turn > 0:
                    calm.foreign.append(report["foreign"])
                    reports[one.label].append(report)
        return reports

    def at_half(self, work, contenders, once, rounds, calm):
        """The same in an open loop at half of what each can do by its CPU time, for the servers without logs."""
        compared = [one for one in contenders if one.label in self.names(rounds)]

        def half(one):
            if self.quick:
                rate = QUICK_RATE
            else:
                spent_us, _ = table.median_and_spread([report["server_cpu_us"] for report in rounds[one.label]])
                rate = 1e6 / spent_us / 2
            return once(one, rate)

        return self.rounds(f"{work.title}; at half of the capacity", compared, half, calm)

    def names(self, rounds):
        """Ours and the peers', of those in a work."""
        return [name for name in self.results["servers"] if name in rounds]

    # What came of it.

    def give_up(self, work, kept, why):
        """A work that failed: there is no judgement on its goals, but where a server did something wrong."""
        print(f"\n{work.key}: {work.title}")
        kept["doubts"] = [*kept.get("doubts", []), str(why)]
        if isinstance(why, machine.Broken):
            say_broken(why)
            verdict = BROKEN
        else:
            shown.not_counted([str(why)])
            verdict = UNJUDGED
        is_half = any(summed.key == work.key for summed in self.judged)
        key, unit, goals = (f"{work.key}, p99", "ms", (P99,)) if is_half else (work.key, work.unit, work.goals)
        judged = [Judged(goal.told(unit), "not measured", verdict) for goal in goals]
        self.judged.append(Summed(key, unit, {}, judged))

    def judge_work(self, work, kept, doubts):
        rounds = kept["rounds"]
        figures = {label: [work.figure(report) for report in reports] for label, reports in rounds.items()}
        names = self.names(rounds)
        doubts = doubts + order_doubts(figures, names) + self.few_rounds()
        kept["doubts"] = doubts
        shown.of_work(work, rounds, figures, doubts)
        judged = [goal.judge(figures, names[1:], work.unit, doubts) for goal in work.goals]
        self.judged.append(Summed(work.key, work.unit, figures, judged))

    def judge_half(self, work, rounds, names, doubts):
        figures = {label: [one["latency_us"]["p99"] / 1_000 for one in reports] for label, reports in rounds.items()}
        compared = [names[0], best(figures, names[1:])]
        late = [name for name in compared if name and any(did_too_little(one) for one in rounds[name])]
        doubts = doubts + [f"the load did not keep up its rate on {name}" for name in late]
        shown.of_half(work, rounds, doubts)
        self.judged.append(Summed(f"{work.key}, p99", "ms", figures, [P99.judge(figures, names[1:], "ms", doubts)]))

    def judge(self):
        """Says which goals hold; the exit status."""
        if self.quick and not self.judged:
            print("every server answers and refuses as it should; a quick run says nothing about times")
            return 0
        shown.summary(self.judged, [*self.results["servers"], servers.PortcullisLogging.name])
        found = {judged.verdict for summed in self.judged for judged in summed.judged}
        return 1 if BROKEN in found else 3 if UNJUDGED in found else 0


class Summed(NamedTuple):
    """A line of the summary: the figures of each contender, and what became of the goals."""

    key: str
    unit: str
    figures: dict
    judged: list
