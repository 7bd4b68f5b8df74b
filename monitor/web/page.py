"""StatusView -> HTML. Everything a cluster may contain is escaped; the page asks nothing of anybody else."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from monitor.web import views

_environment = Environment(
    loader=PackageLoader("monitor.web"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(view: views.StatusView) -> str:
    return _environment.get_template("status.html").render(
        view=view,
        glyphs=views.GLYPHS,
        words_of=views.WORDS,
        states=views.STATES,
        looks=views.LOOKS,
        name_of=views.name_of,
        headline=views.headline,
        age=views.age,
    )


def asset(name: str) -> str:
    """A file beside the template: style.css, live.js."""
    return (resources.files("monitor.web") / "templates" / name).read_text()
