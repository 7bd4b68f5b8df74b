"""What `segmon up` prints of transitions: the worst first, the rest counted, nothing that ends without a beginning."""

import asyncio

from store.recordings import control, posture, recording, subject

from models.compliance import Outcome, Severity
from monitor.cli.telling import MOST_AT_ONCE, Teller

WORST = [f"shop/Deployment/worst{number:02}" for number in range(MOST_AT_ONCE)]
MINOR = ["shop/Deployment/minor0", "shop/Deployment/minor1"]


def judged(*open_, fixed=()):
    """`open_` by its name: the worst are critical, minor ones low."""
    failed = [
        subject(Outcome.FAIL, name=name, severity=Severity.CRITICAL if "worst" in name else Severity.LOW)
        for name in open_
    ]
    return posture(control(Outcome.FAIL, *failed, *(subject(Outcome.PASS, name=name) for name in fixed)))


async def said_of(teller, capsys, word):
    """What is printed by the teller until a word is in it."""
    said, telling = "", asyncio.create_task(teller.run())
    async with asyncio.timeout(20):
        while word not in said:
            said += capsys.readouterr().out
            await asyncio.sleep(0.01)
    telling.cancel()
    return said.splitlines()


async def test_what_is_only_counted_at_first_says_where_it_ends_that_it_was_opened_before(store, tmp_path, capsys):
    store.record(recording(1, judged(*MINOR, *WORST)))
    teller = Teller(store, "h", tmp_path / "segmon.db", is_quiet=False)
    teller.show()
    first = [line for line in capsys.readouterr().out.splitlines() if "opened" in line or "more" in line]
    store.record(recording(2, judged(*WORST[1:], fixed=[WORST[0], *MINOR])))
    ends = [line for line in await said_of(teller, capsys, MINOR[1]) if "resolved" in line]

    assert ["worst" in line for line in first] == [True] * MOST_AT_ONCE + [False]
    assert first[-1].strip() == "… and 2 more (2 low): segmon findings, or the status page"
    assert len(ends) == 3
    assert [line.endswith("(opened before)") for line in ends] == ["minor" in line for line in ends]
