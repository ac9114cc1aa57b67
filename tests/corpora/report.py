"""What came of a corpus: how many queries are verified, and of the others classes by count, as text and as JSON."""

import collections
from pathlib import Path

EXAMPLES = 3


class Class:
    def __init__(self, kind, form):
        self.kind, self.form = kind, form
        self.own = self.follow = 0
        self.files, self.examples = set(), []

    def add(self, outcome):
        if outcome.follows:
            self.follow += 1
        else:
            self.own += 1
        self.files.add(outcome.file)
        if len(self.examples) < EXAMPLES and not any(one["message"] == outcome.message for one in self.examples):
            example = {"at": f"{outcome.file}:{outcome.line}", "sql": outcome.sql[:400], "message": outcome.message[:400]}
            self.examples.insert(0 if not outcome.follows and self.own == 1 else len(self.examples), example)

    def as_json(self):
        return {"kind": self.kind, "form": self.form, "queries": self.own + self.follow, "own": self.own,
                "follow": self.follow, "files": len(self.files), "examples": self.examples}


class Report:
    """Of one corpus."""

    def __init__(self, corpus, results):
        self.corpus, self.results = corpus, results
        outcomes = [outcome for result in results for outcome in result.outcomes]
        self.counted = [outcome for outcome in outcomes if outcome.counted]
        self.verified = [outcome for outcome in self.counted if outcome.how]
        self.left_out = collections.Counter(outcome.left_out for outcome in outcomes if not outcome.counted)
        self.ways = collections.Counter(outcome.how for outcome in self.verified)
        self.statements = collections.Counter()
        for result in results:
            self.statements.update(result.statements)
        self.classes = self.classified()

    def classified(self):
        classes = {}
        for outcome in self.counted:
            if not outcome.how:
                classes.setdefault((outcome.kind, outcome.form), Class(outcome.kind, outcome.form)).add(outcome)
        return sorted(classes.values(), key=lambda one: (-(one.own + one.follow), one.form))

    def kinds(self):
        """For each kind of reason how many queries."""
        sums = collections.Counter()
        for one in self.classes:
            sums[one.kind] += one.own + one.follow
        return sums

    def records(self):
        """(verified, all) with the turns of loops counted as one."""
        places = collections.defaultdict(lambda: True)
        for outcome in self.counted:
            places[outcome.file, outcome.line] &= bool(outcome.how)
        return sum(places.values()), len(places)

    def folders(self):
        """(folder, verified, counted) of each folder."""
        sums = collections.defaultdict(lambda: [0, 0])
        for outcome in self.counted:
            one = sums[str(Path(outcome.file).parent)]
            one[0] += bool(outcome.how)
            one[1] += 1
        return sorted((folder, *pair) for folder, pair in sums.items())

    def summary(self):
        known = self.kinds()["dialect"]
        records = self.records()
        skipped = sum(bool(result.skipped) for result in self.results)
        return (f"{self.corpus}: {len(self.verified)} of {len(self.counted)} queries verified ({share(len(self.verified), len(self.counted))}; "
                f"{share(records[0], records[1])} of {records[1]} with loops counted once); {known} differ as documented; {len(self.results)} files, "
                f"{skipped} not or not wholly run; {sum(self.left_out.values())} queries left out")

    def text(self, most=60):
        lines = [f"== {self.corpus}", ""]
        for folder, verified, counted in self.folders():
            lines.append(f"{share(verified, counted):>8}  {verified:>6} of {counted:>6}  {folder}")
        lines += ["", "verified: " + listed(self.ways), "left out: " + listed(self.left_out),
                  "statements: " + listed(self.statements), "not verified: " + listed(self.kinds()), ""]
        lines.append(" queries     own   files  class")
        for one in self.classes[:most]:
            lines.append(f"{one.own + one.follow:>8}  {one.own:>6}  {len(one.files):>6}  {one.kind}: {one.form}")
            if one.examples:
                first = one.examples[0]
                lines.append(f"{'':26}{first['at']}: {' '.join(first['sql'].split())[:150]}")
        rest = self.classes[most:]
        if rest:
            lines.append(f"{sum(one.own + one.follow for one in rest):>8}  in {len(rest)} further classes")
        unrun = sum("not run in the time" in result.skipped for result in self.results)
        lines += [f"{unrun} files not run in the time given"] * bool(unrun)
        for result in self.results:
            if result.skipped and "not run in the time" not in result.skipped:
                lines.append(f"not wholly run: {result.file}: {result.skipped}")
        return "\n".join(lines + ["", self.summary()])

    def as_json(self):
        verified, records = self.records()
        return {
            "corpus": self.corpus,
            "queries": len(self.counted),
            "verified": len(self.verified),
            "records": {"all": records, "verified": verified},
            "ways": self.ways,
            "left_out": self.left_out,
            "statements": self.statements,
            "kinds": self.kinds(),
            "classes": [one.as_json() for one in self.classes],
            "folders": [{"folder": folder, "verified": one, "queries": all} for folder, one, all in self.folders()],
            "skipped": {result.file: result.skipped for result in self.results if result.skipped},
            "not_verified": [told(one) for one in self.counted if not one.how],
            "reference": [{"at": f"{one.file}:{one.line}", "why": one.left_out, "message": one.message[:300]}
                          for result in self.results for one in result.outcomes if not one.counted],
        }


def told(outcome):
    """A line of where it is and why, with the rows where they are wrong."""
    line = f"{outcome.file}:{outcome.line} {'follows from ' * outcome.follows}{outcome.kind}: {outcome.form}"
    return f"{line}: {outcome.message[:300]}" if outcome.kind in ("different", "dialect", "internal", "crash") else line


def share(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "none"


def listed(counter):
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items(), key=lambda item: -item[1])) or "none"
