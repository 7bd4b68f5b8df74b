"""Apache Kafka itself: one KRaft node that is broker and controller, on loopback.

Its settings are those of a production broker except where one node on a small machine needs less: one replica, few
offset partitions, a small heap, no wait before a group's first rebalance. Topics are never made by mention.
"""

import secrets
import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from parts.process import Part, PartMissing, built, free_port, port_answers, program

SMALL = {
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "2000",  # how long a killed one waits for itself
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": str(16 * 2**20),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class KafkaServer(Part):
    """`bootstrap` is its address. `settings` are added to (and win over) the broker's own."""

    name = "kafka"

    def __init__(self, *, settings: Mapping[str, str] | None = None, heap_mib: int = 384) -> None:
        super().__init__()
        self._settings = dict(settings or {})
        self._heap_mib = heap_mib
        self._port = free_port()
        self._controller_port = free_port()
        self._libraries = built("kafka") / "libs"

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def prepare(self) -> None:
        if not any(self._libraries.glob("kafka_*.jar")):
            raise PartMissing(self.name, f"no jars in {self._libraries}; run `make parts`")
        properties = self._addresses() | SMALL | self._settings
        (self.folder / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        (self.folder / "log4j2.properties").write_text(LOGGING)
        identity = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.run(
            [*self._java("kafka.tools.StorageTool"), "format", f"--cluster-id={identity}", "-c", "server.properties"]
        )

    def command(self) -> Sequence[str]:
        return [*self._java("kafka.Kafka"), "server.properties"]

    def answers(self) -> bool:
        """The port opens only after the broker was unfenced, so whoever connects is served."""
        return port_answers(self._port) and "Kafka Server started" in self.log.read_text(errors="replace")[self._seen :]

    def start(self) -> "KafkaServer":
        self._seen = self.log.stat().st_size if self._folder and self.log.exists() else 0
        return super().start()

    def wipe(self) -> None:
        """Forget every topic while stopped: the next start is a new, empty cluster on the same address."""
        assert not self.running, "stop kafka before wiping it"
        shutil.rmtree(self.folder / "data")
        self.prepare()

    def _addresses(self) -> dict[str, str]:
        """Where it listens and keeps its data."""
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
        }

    def _java(self, main: str) -> list[str]:
        return [
            program(self.name, "java"),
            f"-Xmx{self._heap_mib}m",
            "-Xms64m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={self.folder}",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{self._libraries}/*",
            main,
        ]


class SecureKafka(KafkaServer):
    """The same broker as production has it: TLS with its own certificate, and a password (SASL PLAIN) for clients.

    `ca_file` is what clients trust; `username` and `password` are good from the first start on.
    """

    username = "segmon"

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(settings=settings)
        self.password = secrets.token_hex(16)

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def prepare(self) -> None:
        store = ("-keystore", str(self._store), "-storepass", self.password, "-alias", "kafka")
        keytool = program(self.name, "keytool")
        names = ("-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1,dns:localhost", "-ext", "bc=ca:true")
        if not self._store.exists():
            self.run(
                [keytool, "-genkeypair", "-keyalg", "EC", "-validity", "2", "-storetype", "PKCS12", *names, *store]
            )
            self.run([keytool, "-exportcert", "-rfc", "-file", str(self.ca_file), *store])
        super().prepare()

    @property
    def _store(self) -> Path:
        return self.folder / "keystore.p12"

    def _addresses(self) -> dict[str, str]:
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        return super()._addresses() | {
            "listeners": f"SASL_SSL://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"SASL_SSL://{self.bootstrap}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f'{login} username="{self.username}" password="{self.password}" user_{self.username}="{self.password}";'
            ),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": str(self._store),
            "ssl.keystore.password": self.password,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
        }


LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.kafka.name = kafka.server.KafkaRaftServer
logger.kafka.level = info
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
"""
