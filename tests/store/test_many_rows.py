"""Many rows go into PostgreSQL by COPY; what stands there is what single inserts would have put."""

import pytest
import sqlalchemy as sa
from store.recordings import at

from models import tables
from monitor.store import Store, connecting, sql
from monitor.store.errors import is_transient

NUMBER = sql.MANY + 1
CHANGED = tables.policy_change
MEMBER = tables.domain_member


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


def member(number, **more):
    return {"cluster": "east", "domain": "tenant/a", "subject": f"s/{number}", "pods": [], "from_at": at(0)} | more


def test_many_intervals_into_an_empty_table_are_not_held_against_one_another(database):
    """PostgreSQL plans the guard once, while the table is empty."""
    opened = Store.open(database)
    opened.upgrade()
    with connecting.writing(opened._engine) as connection:
        sql.add(connection, MEMBER, [member(number, to_at=None) for number in range(NUMBER)])
        connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    with opened.look() as look:
        looked_through = sa.text("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'domain_member'")
        assert max(look.execute(looked_through).scalars()) < NUMBER
    opened.close()


@pytest.mark.parametrize(
    "span",
    [
        (at(0), None),
        (at(3), None),
        (at(9), at(11)),
        (at(10), at(11)),
        (at(12), at(13)),
        (at(15), at(21)),
        (at(25), None),
        (at(25), at(26)),
        (at(20), None),
        (at(9), at(30)),
    ],
)
def test_an_interval_is_refused_wherever_it_overlaps(store, span):
    with connecting.writing(store._engine) as connection:
        for from_at, to_at in ((at(20), None), (at(10), at(15)), (at(5), at(10))):
            sql.add(connection, MEMBER, [member(1, from_at=from_at, to_at=to_at)])
    with pytest.raises(sa.exc.DBAPIError, match="overlap"), connecting.writing(store._engine) as connection:
        sql.add(connection, MEMBER, [member(1, from_at=span[0], to_at=span[1])])


def test_an_interval_fits_before_between_and_beside_others(store):
    with connecting.writing(store._engine) as connection:
        for from_at, to_at in ((at(20), None), (at(10), at(15)), (at(15), at(20)), (at(1), at(10))):
            sql.add(connection, MEMBER, [member(1, from_at=from_at, to_at=to_at)])
        sql.add(connection, MEMBER, [member(2, from_at=at(0), to_at=None)])
        sql.add(connection, MEMBER, [member(1, domain="tenant/b", from_at=at(0), to_at=None)])
