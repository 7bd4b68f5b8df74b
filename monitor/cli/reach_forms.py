"""The forms of `segmon reach`: table, CSV, JSON, Graphviz and a matrix in one HTML file.

Names come from clusters and are not trusted: each form escapes them in its own way.
JSON is stable: a list of {from, to, connections, unknown, ranges}; empty parts are left out.
"""

from __future__ import annotations

import csv
import html as html_module
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from models.errors import UserError
from monitor.cli.context import printable, spreadsheet_safe
from monitor.cli.context import table as aligned

if TYPE_CHECKING:
    from monitor.cli.reach import Line

OUTSIDE = "outside"
WIDEST_MATRIX = 400
_SHORT = 4


def table(lines: Sequence[Line]) -> str:
    if not lines:
        return "no connection is allowed\n"
    rows = [[_end(line, line.source), _end(line, line.destination), _said(line)] for line in lines]
    return aligned([[printable(cell) for cell in row] for row in rows], ("from", "to", "connections"))


def csv_rows(lines: Sequence[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", "to", "connections", "unknown", "ranges"))
    for line in lines:
        cells = (line.source, line.destination, *(" ".join(part) for part in (line.connections, line.unknown)))
        writer.writerow([spreadsheet_safe(cell) for cell in (*cells, " ".join(line.ranges))])
    return text.getvalue()


def json_lines(lines: Sequence[Line]) -> str:
    return json.dumps([_plain(line) for line in lines], indent=1) + "\n"


def _plain(line: Line) -> dict[str, Any]:
    whole = {
        "from": line.source,
        "to": line.destination,
        "connections": line.connections,
        "unknown": line.unknown,
        "ranges": line.ranges,
    }
    return {name: part for name, part in whole.items() if part or name == "connections"}


def _end(line: Line, name: str) -> str:
    if name != OUTSIDE:
        return name
    shown = ", ".join(line.ranges[:_SHORT])
    more = len(line.ranges) - _SHORT
    return f"{OUTSIDE} {shown}" + (f" and {more} more ranges" if more > 0 else "")


def _said(line: Line) -> str:
    known = ", ".join(line.connections)
    unknown = f"cannot be known: {', '.join(line.unknown)}" if line.unknown else ""
    return "; ".join(part for part in (known, unknown) if part)


# --- Graphviz ----------------------------------------------------------------------------------------------------


def dot(lines: Sequence[Line], missing: Sequence[str] = ()) -> str:
    """`missing`: what was not read; a comment has the lines, the picture says that there are some."""
    drawn = [
        *(f"// incomplete: {printable(line)}" for line in missing),
        "digraph reach {",
        "  rankdir=LR;",
        '  node [shape=box, fontname="sans-serif"];',
        '  edge [fontname="sans-serif"];',
    ]
    if missing:
        drawn.append('  label="incomplete: not all input was read";')
    names = sorted({end for line in lines for end in (_end(line, line.source), _end(line, line.destination))})
    drawn += [f"  {_quoted(name)}{' [shape=ellipse]' if name.startswith(OUTSIDE) else ''};" for name in names]
    for line in lines:
        style = ", style=dashed" if not line.connections else ""
        ends = f"{_quoted(_end(line, line.source))} -> {_quoted(_end(line, line.destination))}"
        drawn.append(f"  {ends} [label={_quoted(_said(line))}{style}];")
    return "\n".join([*drawn, "}", ""])


def _quoted(text: str) -> str:
    """A backslash would begin an escape of Graphviz's own."""
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# --- HTML --------------------------------------------------------------------------------------------------------

_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1b1b1b;background:#fff}
table{border-collapse:separate;border-spacing:0}
th,td{border:1px solid #d0d4da;padding:.25rem .5rem;text-align:left;vertical-align:top}
thead th{position:sticky;top:0;background:#f2f4f7;z-index:1}
thead th span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap}
tbody th{position:sticky;left:0;background:#f2f4f7;white-space:nowrap}
td.all{background:#f9d7d3}td.some{background:#e2f0d9}td.unknown{background:#fff2cc}td.none{color:#9aa0a6;text-align:center}
[role=alert]{background:#fff2cc;border-left:.3rem solid #b7791f;padding:.25rem .5rem;margin:.25rem 0}
caption{text-align:left;padding-bottom:.5rem}
@media (prefers-color-scheme:dark){body{background:#15181c;color:#e6e6e6}th,thead th,tbody th{background:#22272e}
[role=alert],td.unknown{background:#584a1a}td.all{background:#5c2b29}td.some{background:#2c4a2e}th,td{border-color:#3a414b}}
"""


def html(lines: Sequence[Line], by: str, missing: Sequence[str] = ()) -> str:
    """One file without script or outside references. UserError when the matrix would be too wide to read.

    `missing`: what was not read; the page says so above the matrix.
    """
    rows = _ends(line.source for line in lines)
    columns = _ends(line.destination for line in lines)
    if max(len(rows), len(columns)) > WIDEST_MATRIX:
        raise UserError(
            f"a matrix of {len(rows)} by {len(columns)} cannot be read\n"
            "       fix: narrow it with --from and --to, or use --by namespace"
        )
    cells: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        cells.setdefault((line.source, line.destination), []).append(line)
    head = "".join(f"<th scope=col><span>{_escaped(name)}</span></th>" for name in columns)
    banner = "".join(f'<p role="alert">incomplete: {_escaped(line)}</p>' for line in missing)
    body = "".join(_html_row(name, columns, cells) for name in rows)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Who may reach whom</title><style>{_STYLE}</style></head><body><h1>Who may reach whom, by {by}</h1>"
        f"{banner}<table><caption>Rows open connections to columns. Red: everything, or everything but; green: "
        "what is named; yellow: cannot be known; ·: nothing.</caption>"
        f"<thead><tr><th>from \\ to</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></body></html>\n"
    )


def _ends(names: Iterable[str]) -> list[str]:
    """In the order of names, the outside last."""
    return sorted(set(names), key=lambda name: (name == OUTSIDE, name))


def _html_row(name: str, columns: Sequence[str], cells: dict[tuple[str, str], list[Line]]) -> str:
    found = "".join(_html_cell(cells.get((name, column), ())) for column in columns)
    return f"<tr><th scope=row>{_escaped(name)}</th>{found}</tr>"


def _html_cell(lines: Sequence[Line]) -> str:
    if not lines:
        return "<td class=none>·</td>"
    look = "unknown" if any(line.unknown for line in lines) else "all" if any(map(_is_wide, lines)) else "some"
    said = "<br>".join(_escaped(_ranged(line)) for line in lines)
    return f"<td class={look}>{said}</td>"


def _is_wide(line: Line) -> bool:
    """Everything, or everything but what is named: nobody said what is needed."""
    return any(word.startswith("all") for word in line.connections[:1])


def _ranged(line: Line) -> str:
    shown = ", ".join(line.ranges[:_SHORT]) + (" …" if len(line.ranges) > _SHORT else "")
    return f"{shown}: {_said(line)}" if line.ranges else _said(line)


def _escaped(text: str) -> str:
    return html_module.escape(printable(text))
