"""The two forms of a question, and what all questions share: choosing by the board's variables.

Law 1: which variables choose follows from the labels of a family and the columns of a view, never from a list of
controls or domains: what is added to the catalogue shows up by itself. Law 2: gauges of state come from the owner of a
cluster alone; `max without (instance, pod)` removes who that is.
Law 3: `= ANY (ARRAY[…]::text[])` holds for a variable without values too: an empty record gives empty boards, not
errors.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from models.metrics import METRICS_BY_NAME
from models.reporting import VIEWS_BY_NAME

CHOSEN = ("cluster", "domain", "control", "severity")
"""Variables that are labels of metrics and columns of views under the same name."""

FROM, TO = "$__timeFrom()::timestamptz", "$__timeTo()::timestamptz"


class Numbers(Struct, frozen=True, kw_only=True):
    """A question to Prometheus. `legend` names a series by its labels."""

    expr: str
    legend: str = ""
    is_instant: bool = False


class Rows(Struct, frozen=True, kw_only=True):
    """A question to the record. `columns`: of the answer, in order."""

    sql: str
    columns: tuple[str, ...]


def rows(sql: str, columns: str) -> Rows:
    return Rows(sql=sql, columns=tuple(columns.split()))


def now(expr: str, legend: str = "") -> Numbers:
    return Numbers(expr=expr, legend=legend, is_instant=True)


def over_time(expr: str, legend: str = "") -> Numbers:
    return Numbers(expr=expr, legend=legend)


def series(metric: str, *matchers: str) -> str:
    """A family, chosen by the variables that are its labels."""
    family = metric.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
    return selector(metric, METRICS_BY_NAME[family].labels, *matchers)


def selector(metric: str, labels: Sequence[str], *matchers: str) -> str:
    chosen_by = [f'{name}=~"${name}"' for name in CHOSEN if name in labels]
    return f"{metric}{{{', '.join([*chosen_by, *matchers])}}}"


def state(metric: str, *matchers: str) -> str:
    """A gauge of state, whoever exposes it."""
    return owned(series(metric, *matchers))


def owned(selected: str) -> str:
    return f"max without (instance, pod) ({selected})"


def among(column: str, variable: str) -> str:
    return f"{column} = ANY (ARRAY[${{{variable}:sqlstring}}]::text[])"


def several(variable: str) -> str:
    """Whether more than one value is chosen."""
    return f"cardinality(ARRAY[${{{variable}:sqlstring}}]::text[]) > 1"


def chosen(view: str, *, alias: str = "") -> str:
    """The condition on a view: every variable that it has a column for."""
    return condition(VIEWS_BY_NAME[view].columns, alias=alias)


def condition(columns: Sequence[str], *, alias: str = "") -> str:
    names = [name for name in CHOSEN if name in columns]
    return " AND ".join(among(f"{alias}.{name}" if alias else name, name) for name in names)


def as_text(expression: str) -> str:
    """Names as they are written, where Grafana would read markup."""
    return f"replace(replace({expression}, '&', '&amp;'), '<', '&lt;')"


def latest(view: str, at: str, limit: int, order: str = "id DESC") -> str:
    """The last rows of a view in the time shown, of each cluster chosen."""
    return of_each_cluster(view, f"$__timeFilter({at})", order=f"{at} DESC, {order}", limit=limit)


def of_each_cluster(view: str, *conditions: str, order: str, limit: int) -> str:
    """The first rows of a view in an order, as a table expression without its name.

    Cluster by cluster, so that an index that begins with the cluster is read in its order and no further than needed.
    """
    others = condition([name for name in VIEWS_BY_NAME[view].columns if name != "cluster"])
    chosen_by = " AND ".join(each for each in ("cluster = each.cluster", others, *conditions) if each)
    return f"""\
unnest(ARRAY[${{cluster:sqlstring}}]::text[]) AS each (cluster) CROSS JOIN LATERAL (
  SELECT * FROM reporting.{view} WHERE {chosen_by}
  ORDER BY {order} LIMIT {limit}
)"""


def overlaps(from_at: str = "from_at", to_at: str = "to_at") -> str:
    """Intervals that touch the time shown."""
    return f"{from_at} < {TO} AND ({to_at} IS NULL OR {to_at} > {FROM})"
