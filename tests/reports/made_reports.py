"""What the report tests share: scopes, and the files of a report as values."""

import csv
import io
import json
from types import SimpleNamespace

from store.recordings import at

from monitor.reports.gathering import Making
from monitor.store.periods import Scope

MADE = Making(at=at(5000), release="0.1.0")


def scope(begin=0, end=100, domain=""):
    return Scope(cluster="h", domain=domain, from_at=at(begin), to_at=at(end))


class Files(dict):
    """The files of a report by name."""

    @property
    def json(self):
        return json.loads(self["report.json"])

    @property
    def report(self):
        return self.json["report"]

    @property
    def domains(self):
        return {domain["id"]: domain for domain in self.json["domains"]}

    @property
    def findings(self):
        return [finding for domain in self.json["domains"] for finding in domain["findings"]]

    @property
    def html(self):
        return self["report.html"].decode()

    def rows(self, name):
        return list(csv.DictReader(io.StringIO(self[f"{name}.csv"].decode(), newline="")))

    @property
    def control(self):
        """The only one of the only domain."""
        [domain] = self.json["domains"]
        [control] = domain["controls"]
        return SimpleNamespace(**control)


def read(folder):
    return Files({file.name: file.read_bytes() for file in folder.iterdir()})
