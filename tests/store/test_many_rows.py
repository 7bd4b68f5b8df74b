"""Many rows go into PostgreSQL by COPY; what stands there is what single inserts would have put."""

import pytest
import sqlalchemy as sa
from store.recordings import at

from models import tables
from monitor.store import Store, connecting, sql
from monitor.store.errors import is_transient

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


def test_a_long_answer_is_read_in_parts_and_is_what_it_is_at_once(store):
    number = 2 * sql.PART + 1
    with connecting.writing(store._engine) as connection:
        sql.add(connection, CHANGED, [row | {"offset": place} for place, row in enumerate([next(rows("h"))] * number)])
    statement = sa.select(CHANGED).where(CHANGED.c.cluster == "h").order_by(CHANGED.c.id)
    with store.look() as look:
        whole = [tuple(row) for row in look.execute(statement)]
        streamed = [tuple(row) for row in sql.streamed(look, statement)]
        two_at_once = [
            a[0] == b[0] for a, b in zip(sql.streamed(look, statement), sql.streamed(look, statement), strict=True)
        ]

    assert len(whole) == number
    assert streamed == whole
    assert all(two_at_once)


def test_a_long_answer_whose_database_goes_away_is_a_fault_that_passes(database):
    store = Store.open(database)
    store.upgrade()
    statement = sa.select(sa.func.generate_series(1, 3 * sql.PART))
    with pytest.raises(sa.exc.OperationalError) as failed, store.look() as look:
        answer = sql.streamed(look, statement)
        next(answer)
        look.connection.driver_connection.pgconn.finish()
        list(answer)
    store.close()

    assert is_transient(failed.value)
