"""Many rows go into PostgreSQL by COPY; what stands there is what single inserts would have put."""

import pytest
import sqlalchemy as sa
from store.recordings import at

from models import tables
from monitor.store import connecting, sql

NUMBER = sql.MANY + 1
CHANGED = tables.policy_change


def rows(cluster):
    for number in range(NUMBER):
        yield {
            "cluster": cluster,
            "at": at(number),
            "epoch": 1,
            "offset": number,
            "kind": "Tier",
            "namespace": "",
            "name": f'a\tb\\n"c" ü {number}\nd',
            "change": "created",
            "before": None,
            "after": "0" * 64,
            "approval": "",
            "widened": ["a -> b tcp/1\t\\", "ü"] if number % 2 else None,
            "closed": [],
        }


def test_many_rows_at_once_are_what_they_are_one_by_one(store):
    with connecting.writing(store._engine) as connection:
        sql.add(connection, CHANGED, list(rows("many")))
        for row in rows("single"):
            sql.add(connection, CHANGED, [row])
    told = [column for column in CHANGED.c if column.name not in {"id", "cluster"}]
    null = sa.cast(CHANGED.c.widened, sa.Text)
    with store.look() as look:
        many, single = (
            look.execute(sa.select(*told, null).where(CHANGED.c.cluster == name).order_by(CHANGED.c.id)).all()
            for name in ("many", "single")
        )

    assert len(many) == NUMBER
    assert many == single


def test_many_rows_are_gone_with_a_transaction_that_fails(store):
    with pytest.raises(sa.exc.IntegrityError), connecting.writing(store._engine) as connection:
        sql.add(connection, CHANGED, list(rows("many")))
        sql.add(connection, CHANGED, [next(rows("many")) | {"cluster": None}])
    with store.look() as look:
        assert look.execute(sa.select(sa.func.count()).select_from(CHANGED)).scalar_one() == 0
