#!/usr/bin/env python3
"""Is what runs measured judged as it should be? Pure functions of perf/ and its gates; `tests/run` calls this."""
import contextlib
import io
import json
import subprocess
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from side_by_side import comparison, load, machine, runs, servers
from side_by_side.works import WORKS

PERF = Path(__file__).resolve().parent


def program(name):
    """One of the programs of perf/, which have no ending, as a module."""
    loader = SourceFileLoader(f"perf_{name}", str(PERF / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


instructions = program("instructions")


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

            with mock.patch.multiple(instructions, ROOT=Path(root), TABLE=table):
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
    def status(self, failures):
        """How a run ends whose load failed so."""

        def run(words, *_, **__):
            Path(words[words.index("--json") + 1]).write_text(
                json.dumps({"failures": failures, "attempted": 9, "done": 8, "seconds": 1})
            )

        server = SimpleNamespace(pid=1, name="portcullis", port=1, pki="pki")
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


if __name__ == "__main__":
    unittest.main()
