"""docs/settings.md says every setting: written from the model, by `pytest --update-cases`."""

from pydantic import BaseModel, SecretStr

from monitor.settings import Settings

HEAD = """# Settings

Written from `monitor/settings.py`; do not edit. Flags win over variables, these over the file (`--config`,
`SEGMON_CONFIG`), this over the defaults. An unknown key or variable is an error that names the nearest known one.
A list in a variable is JSON: `SEGMON_COLLECT__FILES='["/var/log/kern.log"]'`. [operating.md](operating.md) has
an example of a file.
"""


def test_the_page_of_settings_says_every_one(golden):
    golden("../../docs/settings.md", page())


def page():
    sections = {name: field for name, field in Settings.model_fields.items() if is_section(field)}
    plain = {name: field for name, field in Settings.model_fields.items() if name not in sections}
    parts = [HEAD, table("", plain)]
    for name, field in sections.items():
        parts.append(f"## {name}\n{field.annotation.__doc__}\n\n{table(name, field.annotation.model_fields)}")
    return "\n".join(parts)


def is_section(field):
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def table(section, fields):
    rows = ["| Key | Variable | Default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        key = f"{section}.{name}" if section else name
        variable = "SEGMON_" + key.upper().replace(".", "__")
        assert field.description, f"{key} has no description"
        rows.append(f"| `{key}` | `{variable}` | {default(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def default(value):
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value in (None, "", ()):
        return "–"
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"
