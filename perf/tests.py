#!/usr/bin/env python3
"""Is what runs measured judged as it should be? Pure functions of perf/ and its gates; `tests/run` calls this."""
import contextlib
import io
import json
import shutil
import subprocess
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from side_by_side import comparison, goals, load, machine, runs, servers
from side_by_side.goals import Goal
from side_by_side.works import WORKS

PERF = Path(__file__).resolve().parent


def program(name):
    """One of the programs of perf/, which have no ending, as a module."""
    loader = SourceFileLoader(f"perf_{name}", str(PERF / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


instructions, promises, revocation = map(program, ("instructions", "promises", "revocation"))


def counted(*rows, tools="rustc 1.95.0"):
    """A file of the table with these rows."""
    return f"Counted with {tools}.\n\n| part | instructions | why |\n" + "".join(f"{row}\n" for row in rows)


class Instructions(unittest.TestCase):
    BEFORE = counted("| verdict/again | 1,000 | |", "| tickets/seal | 500 | lists |")

    def unexplained(self, *rows, **tools):
        return list(instructions.unexplained(counted(*rows, **tools), self.BEFORE))

    def test_a_part_may_take_five_percent_more_than_its_row_and_no_more(self):
        known = instructions.rows(self.BEFORE)
        self.assertEqual(list(instructions.grown({"verdict/again": 1_050}, known)), [])
        (fault,) = instructions.grown({"verdict/again": 1_051}, known)
        self.assertIn("verdict/again takes 1,051 instructions, 1,000 before", fault)

    def test_a_part_and_the_table_must_match_both_ways(self):
        faults = list(instructions.unmatched({"verdict/again": 1_000, "new/part": 7}, instructions.rows(self.BEFORE)))
        self.assertEqual(len(faults), 2)
        self.assertIn("tickets/seal is in", faults[0])
        self.assertIn("new/part is not in", faults[1])

    def test_a_row_that_grew_needs_a_reason(self):
        self.assertEqual(self.unexplained("| verdict/again | 1,050 | |"), [])
        (fault,) = self.unexplained("| verdict/again | 1,051 | |")
        self.assertIn("verdict/again grew from 1,000 to 1,051", fault)
        self.assertEqual(self.unexplained("| verdict/again | 1,400 | one more check |"), [])

    def test_a_reason_that_stood_there_before_explains_nothing_new(self):
        self.assertEqual(len(self.unexplained("| tickets/seal | 600 | lists |")), 1)
        self.assertEqual(self.unexplained("| tickets/seal | 600 | lists, and names |"), [])

    def test_counts_of_other_tools_are_not_held_against_one_another(self):
        self.assertEqual(self.unexplained("| verdict/again | 1,400 | |", tools="rustc 1.96.0"), [])

    def test_what_is_written_keeps_reasons_and_asks_for_new_ones(self):
        text = instructions.written(self.BEFORE, {"verdict/again": 1_400, "tickets/seal": 500, "new/part": 7})
        self.assertEqual(
            text, counted("| verdict/again | 1,400 | |", "| tickets/seal | 500 | lists |", "| new/part | 7 | |")
        )
        self.assertEqual(len(list(instructions.unexplained(text, self.BEFORE))), 1)

    def test_the_table_before_is_that_of_the_last_commit_or_of_its_parent(self):
        with tempfile.TemporaryDirectory() as root, contextlib.chdir(root):
            table = Path(root) / "README.md"

            def commit(text):
                table.write_text(text)
                author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
                subprocess.run(["git", "add", "README.md"], check=True)
                subprocess.run(["git", *author, "commit", "--quiet", "--message", text], check=True)

            with mock.patch.multiple(instructions, PROJECT=Path(root), TABLE=table):
                subprocess.run(["git", "init", "--quiet"], check=True)
                commit("first")
                self.assertEqual(instructions.table_before("first"), "")
                commit("second")
                self.assertEqual(instructions.table_before("second"), "first")
                self.assertEqual(instructions.table_before("not committed"), "second")
                subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{root}", "shallow"], check=True)
                with contextlib.chdir("shallow"):
                    self.assertIsNone(instructions.table_before("second"), "git does not know")


class TheLoad(unittest.TestCase):
    def status(self, failures, wrong=machine.Broken):
        """How a run ends whose load failed so; `wrong` is what a server's fault is."""

        def run(words, *_, **__):
            Path(words[words.index("--json") + 1]).write_text(
                json.dumps({"failures": failures, "attempted": 9, "done": 8, "seconds": 1})
            )

        server = SimpleNamespace(pid=1, name="portcullis", port=1, pki="pki", wrong=wrong)
        with tempfile.TemporaryDirectory() as scratch, mock.patch.object(machine, "run", run), mock.patch.object(
            machine, "Cpu"
        ), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                runs.main("x", lambda: load.once(server, scratch, load.Load(), []))
            except SystemExit as end:
                return end.code
        return 0

    def test_a_server_that_refuses_is_broken_and_a_load_without_ports_cannot_run(self):
        self.assertEqual(self.status({}), 0)
        self.assertEqual(self.status({"not begun": 2}), 0)
        self.assertEqual(self.status({"alert unknown_ca": 1}), 1)
        self.assertEqual(self.status({"alert unknown_ca": 1}, servers.Nginx.wrong), 2, "a peer breaks no promise")
        self.assertEqual(self.status({"no port or file left": 1, "reset": 1}), 2)

    def test_what_was_not_begun_is_too_little(self):
        report = {"failures": {}, "rate": 100, "done_per_second": 97}
        self.assertFalse(load.did_too_little(report))
        self.assertTrue(load.did_too_little(report | {"done_per_second": 96.9}))
        self.assertTrue(load.did_too_little(report | {"failures": {"not begun": 1}}))

    def test_what_comes_before_counts_neither_for_busy_nor_for_an_operation(self):
        first = {"server_cpu_s": 0.32, "seconds": 0.02, "done": 32}
        with mock.patch.object(load, "once", side_effect=[first, {"server_cpu_s": 3.3, "seconds": 3.0, "done": 4800}]):
            told = load.measure(None, None, load.Load(prepares=True))
        self.assertAlmostEqual(told["server_busy"], 1)
        with mock.patch.object(load, "once", return_value={"server_cpu_s": 2.02, "seconds": 2, "done": 100}):
            self.assertAlmostEqual(load.measure(None, None, load.Load())["server_busy"], 1)


class Rounds(unittest.TestCase):
    @staticmethod
    def run_of(rounds, make):
        """What `make` makes of these options, without a node."""
        options = SimpleNamespace(quick=False, rounds=rounds, seconds=1, plain=True)
        with mock.patch.multiple(servers.Portcullis, binary=Path(__file__), version=lambda: "0"):
            return make(options)

    def test_fewer_than_five_rounds_are_not_judged(self):
        for rounds, status in ((1, 3), (4, 3), (5, 1)):
            measured = self.run_of(rounds, lambda options: runs.Measured("x", options, "commit", []))
            measured.calm.calibrations = [70.0] * 3
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(measured.judge([runs.Fault("late", of_time=True)]), status)
                self.assertEqual(measured.judge([runs.Fault("wrong")]), 1)

    def test_a_work_that_fails_leaves_the_others_and_the_results(self):
        for why, status in ((machine.CannotRun("no ports"), 3), (machine.Broken("refused"), 1)):
            run = self.run_of(5, lambda options: comparison.Comparison(options, Path("x"), None, "commit", []))
            with mock.patch.object(run, "measure_work", side_effect=why), contextlib.redirect_stdout(io.StringIO()):
                run.compare(WORKS[0])
                run.compare(WORKS[1])
                self.assertEqual(run.judge(), status)
            self.assertEqual([kept["doubts"] for kept in run.results["works"]], [[str(why)]] * 2)


class Judgement(unittest.TestCase):
    FIGURES = {"portcullis": [5.0, 6.0, 20.0], "nginx": [10.0, 12.0, 14.0], "envoy": [11.0, 24.0, 28.0]}
    PEERS = ["nginx", "envoy"]

    def judged(self, goal, doubts=(), peers=PEERS):
        judged = goal.judge(self.FIGURES, peers, "µs", list(doubts))
        return judged.verdict, judged.reached

    def test_a_ratio_is_the_median_of_those_within_the_rounds(self):
        # 0.5, 0.5 and 1.43: the round that was disturbed does not count.
        self.assertEqual(self.judged(Goal(0.50, "nginx")), (goals.HOLDS, "0.50 × nginx"))
        self.assertEqual(self.judged(Goal(0.49, "nginx"))[0], goals.BROKEN)

    def test_at_least_is_judged_the_other_way_round(self):
        self.assertEqual(self.judged(Goal(0.50, "nginx", at_least=True))[0], goals.HOLDS)
        self.assertEqual(self.judged(Goal(0.51, "nginx", at_least=True))[0], goals.BROKEN)

    def test_the_best_is_the_peer_with_the_least_or_the_most(self):
        self.assertEqual(self.judged(Goal(1.0, goals.BEST)), (goals.HOLDS, "0.50 × nginx"))
        self.assertEqual(self.judged(Goal(1.2, goals.BEST, at_least=True)), (goals.BROKEN, "0.45 × envoy"))

    def test_a_figure_of_its_own_is_judged_by_its_median(self):
        self.assertEqual(self.judged(Goal(6.0)), (goals.HOLDS, "6.0 µs"))
        self.assertEqual(self.judged(Goal(5.9))[0], goals.BROKEN)

    def test_a_doubt_takes_the_judgement_and_leaves_the_figure(self):
        self.assertEqual(self.judged(Goal(0.49, "nginx"), ["it was busy"]), (goals.UNJUDGED, "0.50 × nginx"))

    def test_without_the_other_nothing_is_judged(self):
        self.assertEqual(self.judged(Goal(0.49, "haproxy"))[0], goals.UNJUDGED)
        self.assertEqual(self.judged(Goal(0.49, goals.BEST), peers=[])[0], goals.UNJUDGED)

    def test_an_order_that_changed_in_one_round_is_a_doubt(self):
        figures = {"portcullis": [1, 2, 3], "nginx": [2, 3, 4], "envoy": [3, 4, 3.5]}
        self.assertEqual(goals.order_doubts(figures, ["portcullis", "nginx"]), [])
        self.assertEqual(len(goals.order_doubts(figures, ["portcullis", "nginx", "envoy"])), 1)


class Quiet(unittest.TestCase):
    def doubts(self, calibrations, foreign):
        calm = machine.Calm()
        calm.calibrations, calm.foreign = calibrations, foreign
        return calm.doubts()

    def test_a_quiet_machine_raises_no_doubt(self):
        self.assertEqual(self.doubts([100, 102, 104], [0.0, 0.01, 0.05, 0.02]), [])

    def test_a_calibration_loop_that_varies_is_a_doubt(self):
        self.assertEqual(len(self.doubts([100, 102, 108], [0.0] * 4)), 1)

    def test_a_quarter_of_the_measurements_may_be_disturbed_and_no_more(self):
        self.assertEqual(self.doubts([100] * 3, [0.5, 0.0, 0.0, 0.0]), [])
        self.assertEqual(len(self.doubts([100] * 3, [0.5, 0.5, 0.0, 0.0])), 1)


class Promises(unittest.TestCase):
    HEAD = "| what | measured | the check |\n| --- | --- | --- |\n"

    def checked(self, text):
        """The exit status of perf/promises with this list, and what it said."""
        with tempfile.TemporaryDirectory() as root:
            perf = Path(root) / "perf"
            perf.mkdir()
            (perf / "promises.md").write_text(text)
            copy = shutil.copy(PERF / "promises", perf)
            told = subprocess.run([copy], capture_output=True, text=True, check=False)
            return told.returncode, told.stdout + told.stderr

    def test_every_row_of_the_list_has_a_command(self):
        found = promises.checks(promises.LIST.read_text())
        self.assertIn("perf/revocation", [command for command, is_promise in found.items() if is_promise])
        self.assertEqual([command for command, is_promise in found.items() if not is_promise], ["perf/compare"])

    def test_a_row_without_a_command_is_refused_before_anything_runs(self):
        exit_status, said = self.checked(self.HEAD + "| a | | `echo ran` |\n| b | | see above |\n")
        self.assertEqual(exit_status, 2)
        self.assertIn("| b | | see above |", said)
        self.assertNotIn("== echo ran", said)
        self.assertEqual(self.checked("nothing\n")[0], 2)

    def test_each_command_runs_once_and_the_worst_of_the_promises_counts(self):
        exit_status, said = self.checked(self.HEAD + "| a | | `echo ran` fails above |\n| b | | `echo ran` |\n")
        self.assertEqual((exit_status, said.count("\nran\n")), (0, 1))
        self.assertEqual(self.checked(self.HEAD + "| a | | `exit 3` |\n| b | | `true` |\n")[0], 3)
        self.assertEqual(self.checked(self.HEAD + "| a | | `exit 1` |\n| b | | `exit 2` |\n")[0], 1)

    def test_a_goal_that_is_missed_breaks_no_promise_and_is_told(self):
        goals = "## Goals beside others\n" + self.HEAD
        exit_status, said = self.checked(f"{self.HEAD}| a | | `true` |\n{goals}| b | | `false` |\n")
        self.assertEqual(exit_status, 0)
        self.assertRegex(said, "goals missed +false")
        exit_status, _ = self.checked(f"{self.HEAD}| a | | `false` |\n{goals}| b | | `false` |\n")
        self.assertEqual(exit_status, 1)

    def test_what_is_only_measured_is_not_run(self):
        text = f"{self.HEAD}| a | | `true` |\n## Measured, not promised\n{self.HEAD}| b | | `false` |\n"
        self.assertEqual(self.checked(text)[0], 0)

    def test_cargo_that_ran_no_test_has_shown_nothing(self):
        none, one = (f"test result: ok. {passed} passed; 0 failed; 9 filtered out\n" for passed in (0, 1))
        self.assertEqual(promises.outcome(0, none), promises.BROKEN)
        self.assertEqual(promises.outcome(0, none + one), promises.HOLDS)
        self.assertEqual(promises.outcome(0, "a bench says what it likes\n"), promises.HOLDS)
        self.assertEqual(promises.outcome(101, one), promises.BROKEN)


class GoalWhileLoading(unittest.TestCase):
    def test_the_p99_is_judged_as_a_goal_where_there_are_no_doubts(self):
        self.assertTrue(revocation.told_of_goal(1.10, []).startswith("goal reached"))
        self.assertTrue(revocation.told_of_goal(1.46, []).startswith("goal missed"))
        told = revocation.told_of_goal(1.46, ["it was busy"])
        self.assertTrue(told.startswith("goal not judged") and told.endswith("it was busy"), told)


if __name__ == "__main__":
    unittest.main()
