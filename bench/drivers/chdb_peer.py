"""ClickHouse in the process: MergeTree tables of one part each, ordered by their keys."""

import chdb

# The rules of standard SQL for nulls, and no answer or condition remembered from an earlier run.
SETTINGS = {
    "join_use_nulls": 1,
    "aggregate_functions_null_for_empty": 1,
    "union_default_mode": "'DISTINCT'",
    "allow_experimental_correlated_subqueries": 1,
    "use_query_cache": 0,
    "use_query_condition_cache": 0,
    "output_format_arrow_string_as_string": 1,
}


def name(identifier):
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


def text(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class ClickHouse:
    version = f"{chdb.__version__} (ClickHouse {chdb.engine_version})"
    form = "MergeTree tables merged to one part, in the page cache"

    def open(self, request):
        self.tables = []
        self.connection = chdb.connect(request["folder"])
        self.connection.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        self.connection.query("USE bench")
        threads = {"max_threads": request["threads"], "max_insert_threads": request["threads"]}
        for setting, value in (SETTINGS | threads).items():
            self.connection.query(f"SET {setting} = {value}")

    def load(self, table):
        first = f"file({text(table['files'][0])}, Parquet)"
        columns = [row.split("\t")[:2] for row in self.rows(f"DESCRIBE {first}")]
        declared = ", ".join(f"{name(column)} {kind}" for column, kind in columns)
        key = ", ".join(map(name, table["key"])) or "tuple()"
        target = name(table["name"])
        self.connection.query(
            f"CREATE TABLE {target} ({declared}) ENGINE = MergeTree ORDER BY ({key}) SETTINGS allow_nullable_key = 1"
        )
        for file in table["files"]:
            self.connection.query(f"INSERT INTO {target} SELECT * FROM file({text(file)}, Parquet)")
        self.tables.append(target)

    def finish(self):
        for table in self.tables:
            self.connection.query(f"OPTIMIZE TABLE {table} FINAL")

    def rows(self, sql):
        return self.connection.query(sql, "TabSeparatedRaw").bytes().decode().splitlines()

    def store_bytes(self):
        live = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench'"
        return int(self.rows(live)[0])

    def run(self, sql):
        return self.connection.query(sql, "ArrowTable")
