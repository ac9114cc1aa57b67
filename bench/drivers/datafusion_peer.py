"""DataFusion: tables in memory, or over the Parquet files where those do not fit."""

import os

import datafusion


class DataFusion:
    version = datafusion.__version__

    def open(self, request):
        self.threads, self.in_memory = request["threads"], request["in_memory"]
        self.form = "tables in memory" if self.in_memory else "Parquet files in the page cache"
        self.context = self.session()

    def session(self):
        config = datafusion.SessionConfig().with_target_partitions(self.threads)
        # Names are those of the files, as every other engine here has them, and not in lower case.
        config = config.set("datafusion.sql_parser.enable_ident_normalization", "false")
        return datafusion.SessionContext(config)

    def load(self, table):
        folders = {os.path.dirname(file) for file in table["files"]}
        if len(table["files"]) == 1:
            place = table["files"][0]
        elif len(folders) == 1:
            place = folders.pop() + "/"
        else:
            raise ValueError(f"the files of {table['name']} lie in several folders")
        if not self.in_memory:
            self.context.register_parquet(table["name"], place)
            return
        # Read by a session of its own, whose partitions become those of the table in memory.
        partitions = self.session().read_parquet(place).collect_partitioned()
        self.context.register_record_batches(table["name"], [part for part in partitions if part])

    def finish(self):
        pass

    def store_bytes(self):
        return None

    def run(self, sql):
        return self.context.sql(sql).to_arrow_table()
