"""The transport of `audit_log` over RabbitMQ, with `pika` (pip install pika).

    audit = AuditLog(None, source="/shop", transport=Amqp("amqp://shop:secret@broker:5672/%2f"))

An entry is sent when the broker has confirmed it: the auditor need not run. The broker compares `user_id` with the credentials of the
connection, so that the auditor knows the producer.
"""

import pika
import pika.exceptions

from audit_log import Unreachable

EXCHANGE = "data"


class Amqp:
    """Publishes entries to the topic exchange `data`."""

    def __init__(self, url):
        self.parameters = pika.URLParameters(url)
        self.connection = self.channel = None

    def send(self, entries):
        """Sends entries in their order. Yields each one that the broker has confirmed."""
        properties = pika.BasicProperties(
            content_type="application/cloudevents+json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            user_id=self.parameters.credentials.username,
        )
        for entry in entries:
            try:
                if self.channel is None:
                    self.connect()
                self.channel.basic_publish(EXCHANGE, "entry", entry.encode(), properties, mandatory=True)
            except (pika.exceptions.AMQPError, OSError) as error:
                self.close()
                raise Unreachable(f"{type(error).__name__}: {error}") from error
            yield entry, None

    def connect(self):
        self.connection = pika.BlockingConnection(self.parameters)
        self.channel = self.connection.channel()
        self.channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        # Entries wait here while the auditor does not run, also if it never ran.
        self.channel.queue_declare("auditor", durable=True, arguments={"x-queue-type": "quorum"})
        self.channel.queue_bind("auditor", EXCHANGE, "#")
        self.channel.confirm_delivery()

    def close(self):
        connection, self.connection, self.channel = self.connection, None, None
        try:
            if connection is not None and connection.is_open:
                connection.close()
        except pika.exceptions.AMQPError:
            pass
