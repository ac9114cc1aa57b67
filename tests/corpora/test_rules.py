#!/usr/bin/env python3
"""What the runner of corpora takes for a record, for the same answer, and for the same reason. Needs no server:
`test_rules.py` with the Python that `run.py` has."""

import tempfile
import unittest
from pathlib import Path

import pyarrow

import answers
import classes
import records
import references
import scripts
import sql_text
from tundra import Failed, plain


def parsed(text, dialect):
    return records.nested(records.records(text.split("\n"), Path("x.test"), dialect, "x.test"))


def answer(rows, numeric, names="abc"):
    return answers.Answer(list(names[:len(numeric)]), rows, numeric, [False] * len(numeric))


class Engine:
    """In Tundra's place: gives tables and errors by the statement."""

    def __init__(self, said):
        self.said = said

    def run(self, sql, name=""):
        result = self.said.get(sql.strip(), pyarrow.table({}))
        if isinstance(result, Exception):
            raise result
        return result

    def clear(self):
        pass

    disconnect = clear


def outcomes(text, corpus, said):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.test").write_text(text)
        result = scripts.Script(corpus, Engine(said), answers.Printer()).run(f"{folder}/x.test", "x.test")
    assert not result.skipped, result.skipped
    return result


class Reading(unittest.TestCase):
    def test_loops_conditions_and_results(self):
        text = "loop i 0 2\n\nforeach a,b x,1 y,2\n\nonlyif i=1\nquery I rowsort l\nSELECT {a}${b}\n----\n{i}\n# no comment\n\nendloop\n\nendloop\n"
        (outer,) = parsed(text, "duckdb")
        (inner,) = outer.body
        turns = list(records.turns_of(inner, [("i", "1")]))
        self.assertEqual(turns, [[("a", "x"), ("b", "1")], [("a", "y"), ("b", "2")]])
        (record,) = inner.body
        self.assertEqual(record.replaced(turns[1]).sql, "SELECT y2")
        self.assertEqual(record.expected, ["{i}", "# no comment"])
        self.assertFalse(records.holds(record.conditions[0][1], [("i", "0")]))

    def test_messages_end_at_two_blank_lines(self):
        first, second = parsed("statement error\nSELECT 1\n----\na\n\nb\n\n\nquery I\nSELECT 2\n----\n2\n", "risingwave")
        self.assertEqual((first.expected, second.sql), (["a", "", "b"], "SELECT 2"))

    def test_statements_and_order(self):
        self.assertEqual(len(sql_text.statements("SELECT ';'; SELECT $$;$$ -- ;\n;")), 2)
        self.assertEqual(sql_text.ordered_columns("SELECT a, b FROM (SELECT 1 ORDER BY 1) t ORDER BY t.b DESC NULLS LAST, a + 1", ["a", "b"]), [1])
        self.assertIsNone(sql_text.ordered_columns("SELECT a FROM (SELECT 1 a ORDER BY 1) t", ["a"]))
        self.assertEqual(sql_text.defined('CREATE OR REPLACE TABLE IF NOT EXISTS s."T t" (a INT)'), "t t")


class Judging(unittest.TestCase):
    def test_order(self):
        rows = answer([("1", "x"), ("2", "y")], [True, False])
        turned = [("2", "y"), ("1", "x")]
        self.assertEqual(answers.judge("SELECT a, b FROM t", rows, turned, "nosort"), "any order")
        self.assertIsNone(answers.judge("SELECT a, b FROM t ORDER BY a", rows, turned, "nosort"))
        tied = answer([("1", "x"), ("1", "y")], [True, False])
        self.assertEqual(answers.judge("SELECT a, b FROM t ORDER BY a", tied, [("1", "y"), ("1", "x")], "nosort"), "ties")
        self.assertIsNone(answers.judge("SELECT a, b FROM t", rows, [("2", "y"), ("2", "y")], "rowsort"))

    def test_numbers(self):
        self.assertTrue(answers.same_number("1.50", "1.5"))
        self.assertTrue(answers.same_number("0.707106781", "0.7071"))
        self.assertFalse(answers.same_number("0.14", "0.1"))
        self.assertFalse(answers.same_number("1000000001", "1000000000"))
        self.assertFalse(answers.same_rows(answer([("1.0",)], [False]), [("1.0",)], [("1",)]))

    def test_written_rows(self):
        self.assertEqual(answers.expected_rows(["1", "a", "2", "b"], 2, 2), [("1", "a"), ("2", "b")])
        self.assertEqual(answers.expected_rows(["1\ta", "2\tb"], 2, 3), [("1", "a"), ("2", "b")])
        self.assertEqual(answers.expected_rows(["1\t\ta", "2\tb\t"], 2, 2), [("1", "a"), ("2", "b")])
        self.assertIsNone(answers.expected_rows(["1", "a", "2"], 2, 2))
        self.assertEqual(answers.postgres_text([1, None, "a,b"]), '{1,NULL,"a,b"}')
        self.assertEqual(answers.sqlite_rows([(1.9, 2, None, "")], "IRTT"), [("1", "2.000", "NULL", "(empty)")])


class Explaining(unittest.TestCase):
    def test_forms(self):
        self.assertEqual(classes.normal_form('unknown column "a.b"\nLINE 1'), "unknown column …")
        self.assertEqual(classes.normal_form("the type STRUCT(a INT) is not supported yet"), "the type STRUCT(…) is not supported yet")
        self.assertEqual(classes.normal_form("there is no function list_sort"), "there is no function list_sort")
        self.assertEqual(plain("NOT_IMPLEMENTED: [FlightSQL] x is not supported yet (Unimplemented; ExecuteQuery)"), "x is not supported yet")
        self.assertEqual(plain("INVALID_ARGUMENT: [FlightSQL] power is out of range (InvalidArgument; DoGet: endpoint 0: [])"), "power is out of range")

    def test_causes(self):
        text = ("statement ok\nCREATE TABLE t AS SELECT 1 AS a\n\nquery I\nSELECT a FROM t\n----\n1\n\n"
                "query I\nSELECT 2\n----\n2\n\nquery I\nSELECT 3\n----\n4\n\nquery I\nSELECT 7 / 2 AS q\n----\n3.5\n")
        said = {
            "CREATE TABLE t AS SELECT 1 AS a": Failed("this is not supported yet", True),
            "SELECT a FROM t": Failed('unknown table "t"'),
            "SELECT 2": pyarrow.table({"2": [5]}),
            "SELECT 7 / 2 AS q": pyarrow.table({"q": [3]}),
        }
        first, second, third, fourth = outcomes(text, "duckdb", said).outcomes
        self.assertEqual((first.kind, first.form, first.follows), ("refused", "this is not supported yet", True))
        self.assertEqual((second.counted, second.kind), (True, "different"))
        self.assertEqual((third.counted, third.left_out), (False, "the reference answers otherwise"))
        self.assertEqual((fourth.kind, fourth.form), ("dialect", references.DIALECT[0][0]))

    def test_conditions(self):
        text = "skipif sqlite\nquery I nosort\nSELECT 1\n----\n1\n\nonlyif sqlite\nquery I nosort\nSELECT 2\n----\n2\n\nquery I nosort\nSELECT 3\n----\n3\n"
        found = outcomes(text, "sqlite", {f"SELECT {n}": pyarrow.table({"x": [n]}) for n in (1, 2, 3)})
        self.assertEqual([(one.line, one.how) for one in found.outcomes], [(2, "equal"), (13, "equal")])


if __name__ == "__main__":
    unittest.main()
