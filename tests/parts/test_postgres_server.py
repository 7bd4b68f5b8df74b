"""PostgreSQL keeps what was committed over a kill, and gives each test a database of its own."""

import pytest
import sqlalchemy as sa


def write(url: str, number: int) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS kept (number int PRIMARY KEY)"))
        connection.execute(sa.text("INSERT INTO kept VALUES (:number)"), {"number": number})
    engine.dispose()


def read(url: str) -> list[int]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        numbers = list(connection.execute(sa.text("SELECT number FROM kept ORDER BY number")).scalars())
    engine.dispose()
    return numbers


def test_a_table_keeps_its_rows_when_the_server_is_killed(postgres, database):
    write(database, 1)
    postgres.kill()
    postgres.start()
    write(database, 2)

    assert read(database) == [1, 2]


def test_each_database_is_empty(postgres, database):
    write(database, 1)
    other = postgres.create_database()

    with pytest.raises(sa.exc.ProgrammingError, match="kept"):
        read(other)
    postgres.drop_database(other)


def test_a_wrong_password_is_refused(postgres, database):
    wrong = sa.make_url(database).set(password="wrong")
    engine = sa.create_engine(wrong)

    with pytest.raises(sa.exc.OperationalError, match="password authentication failed"):
        engine.connect()
    engine.dispose()
