"""axe-core in an open page: what it finds wrong with it for people who do not see it as we do.

`serious()` answers each serious or critical issue as a line: rule, what it is, and the first places.
"""

import json

from parts.chromium import Page
from parts.process import PartMissing, built

RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(found => JSON.stringify(found.violations.map(each => ({
    rule: each.id, impact: each.impact, help: each.help,
    places: each.nodes.slice(0, 3).map(node => [...node.target, ...node.any.map(reason => reason.message)].join(" ")),
}))))
"""


def script() -> str:
    file = built("axe") / "axe.min.js"
    if not file.exists():
        raise PartMissing("axe", f"no {file}; run `make parts`")
    return file.read_text()


async def serious(page: Page) -> list[str]:
    await page.evaluate(script() + ";true")  # through the debugger: the page's own policy lets in no script
    violations = json.loads(await page.evaluate(RUN))
    return [
        f"{each['rule']} ({each['impact']}): {each['help']}: {'; '.join(each['places'])}"
        for each in violations
        if each["impact"] in {"serious", "critical"}
    ]
