#!/usr/bin/env python3
"""Is what runs measured judged as it should be? Pure functions of perf/ and its gates; `tests/run` calls this."""
import contextlib
import subprocess
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from unittest import mock

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
                with contextlib.chdir("shallow"), self.assertRaises(instructions.CannotRun):
                    instructions.table_before("second")


if __name__ == "__main__":
    unittest.main()
