"""How a client reaches the broker: one value that every client is built from, Faust's included.

Trusts: `settings.Kafka`. A missing certificate or password is an error at start, with the setting's name in it.
"""

from __future__ import annotations

from ssl import SSLContext, SSLError
from typing import Any

from aiokafka.helpers import create_ssl_context
from msgspec import Struct

from models.errors import CannotEvaluateError
from monitor import settings

COMPRESSION = "gzip"  # the only codec that needs nothing beyond Python (dependencies.md 1.3)


AWAY_FIX = "start the broker, or set kafka.bootstrap (SEGMON_KAFKA__BOOTSTRAP) to where it is"


class BrokerError(CannotEvaluateError):
    """What the broker will not do however often it is asked; the message names the fix."""


class BrokerUnavailableError(Exception):
    """The broker did not answer or not in time: the same call may succeed later."""


class Connection(Struct, frozen=True, kw_only=True):
    """Where the broker is and how it is spoken to. Empty paths and names are not used."""

    bootstrap: str
    security: str = "plaintext"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    is_embedded: bool = False  # librdkafka's mock cluster

    @property
    def fetch_wait_ms(self) -> int:
        """How long a fetch may wait for data. The mock cluster always waits that long, so this is its latency."""
        return 250 if self.is_embedded else 500

    @property
    def uses_tls(self) -> bool:
        return self.security in {"ssl", "sasl_ssl"}

    @property
    def uses_sasl(self) -> bool:
        return self.security.startswith("sasl_")

    def __repr__(self) -> str:
        """Never the password."""
        return f"Connection({self.bootstrap!r}, {self.security})"


def from_settings(kafka: settings.Kafka, *, is_embedded: bool = False) -> Connection:
    password = settings.secret(kafka.password, kafka.password_file, what="the Kafka password (kafka.password_file)")
    connection = Connection(
        bootstrap=kafka.bootstrap,
        security=kafka.security,
        sasl_mechanism=kafka.sasl_mechanism,
        username=kafka.username,
        password=password,
        ca_file=str(kafka.ca_file or ""),
        certificate_file=str(kafka.certificate_file or ""),
        key_file=str(kafka.key_file or ""),
        is_embedded=is_embedded,
    )
    if connection.uses_sasl and not connection.username:
        raise settings.SettingsError(f"kafka.security is {kafka.security}: set kafka.username and kafka.password")
    for address in connection.bootstrap.split(","):
        _, colon, port = address.strip().rpartition(":")
        if not address.strip() or (colon and not port.isdecimal()):
            raise settings.SettingsError(f"kafka.bootstrap: {address!r} is no address\n       fix: write host:9092")
    tls_context(connection)
    return connection


def of(everything: settings.Settings) -> Connection:
    """The connection of a process, embedded or not."""
    return from_settings(everything.kafka, is_embedded=everything.embedded)


def tls_context(connection: Connection) -> SSLContext | None:
    """The TLS context of this connection, None where it has none."""
    if not connection.uses_tls:
        return None
    try:
        context: SSLContext = create_ssl_context(
            cafile=connection.ca_file or None,
            certfile=connection.certificate_file or None,
            keyfile=connection.key_file or None,
        )
    except (OSError, SSLError) as error:
        files = "kafka.ca_file, kafka.certificate_file or kafka.key_file"
        raise settings.SettingsError(f"{files}: cannot be used: {error}") from error
    return context


def client_options(connection: Connection) -> dict[str, Any]:
    """What every aiokafka client takes."""
    options: dict[str, Any] = {
        "bootstrap_servers": connection.bootstrap,
        "security_protocol": connection.security.upper(),
        "client_id": "segmon",
    }
    if connection.uses_tls:
        options["ssl_context"] = tls_context(connection)
    if connection.uses_sasl:
        options |= {
            "sasl_mechanism": connection.sasl_mechanism,
            "sasl_plain_username": connection.username,
            "sasl_plain_password": connection.password,
        }
    return options
