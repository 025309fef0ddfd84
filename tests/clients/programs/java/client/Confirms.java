import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.Return;
import java.util.List;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;

/** Publisher confirms: one by one, in batches, and as a stream of which the publisher keeps account; returns. */
public class Confirms {
    static final String QUEUE = "java.confirms";
    static final int STREAM = 20_000, BATCH = 500;

    public static void main(String[] arguments) {
        Broker.main(() -> {
            try (Connection connection = Broker.factory().newConnection()) {
                Channel channel = connection.createChannel();
                channel.queueDelete(QUEUE); // of a run that failed
                channel.queueDeclare(QUEUE, true, false, false, null);
                channel.confirmSelect();
                batches(channel);
                stream(channel);
                returns(channel);
                channel.queueDelete(QUEUE);
            }
        });
    }

    static void batches(Channel channel) throws Exception {
        for (int n = 0; n < 20; n++) {
            channel.basicPublish("", QUEUE, null, "one".getBytes());
            Broker.check(channel.waitForConfirms(60_000), "a message was refused");
        }
        for (int n = 0; n < 10 * BATCH; n++) {
            channel.basicPublish("", QUEUE, MessageProperties.PERSISTENT_BASIC, "many".getBytes());
            if ((n + 1) % BATCH == 0) channel.waitForConfirmsOrDie(60_000);
        }
        Broker.equal(channel.getNextPublishSeqNo(), 20L + 10 * BATCH + 1, "next sequence number");
        Broker.equal(channel.queuePurge(QUEUE).getMessageCount(), 20 + 10 * BATCH, "confirmed messages in the queue");
    }

    static void stream(Channel channel) throws Exception {
        ConcurrentNavigableMap<Long, Integer> outstanding = new ConcurrentSkipListMap<>();
        AtomicInteger refused = new AtomicInteger(), unknown = new AtomicInteger();
        var listener = channel.addConfirmListener(
            (tag, multiple) -> {
                if (multiple) outstanding.headMap(tag, true).clear();
                else if (outstanding.remove(tag) == null) unknown.incrementAndGet();
            },
            (tag, multiple) -> refused.incrementAndGet());
        for (int n = 0; n < STREAM; n++) {
            outstanding.put(channel.getNextPublishSeqNo(), n);
            channel.basicPublish("", QUEUE, null, Integer.toString(n).getBytes());
        }
        Broker.until(outstanding::isEmpty, "not everything was confirmed");
        Broker.equal(refused.get(), 0, "refused");
        Broker.equal(unknown.get(), 0, "confirmed twice");
        channel.removeConfirmListener(listener);
        for (int n = 0; n < STREAM; n++) {
            String body = new String(channel.basicGet(QUEUE, true).getBody());
            Broker.equal(body, Integer.toString(n), "body in its place");
        }
        System.out.println(STREAM + " messages confirmed as a stream, all there and in order");
    }

    static void returns(Channel channel) throws Exception {
        List<Return> returned = new CopyOnWriteArrayList<>();
        channel.addReturnListener(returned::add);
        AMQP.BasicProperties named = new AMQP.BasicProperties.Builder().messageId("homeless").build();
        for (int n = 0; n < 100; n++) {
            channel.basicPublish("", n % 2 == 0 ? QUEUE : QUEUE + ".none", true, named, Integer.toString(n).getBytes());
        }
        // A message that comes back does so before it is confirmed.
        channel.waitForConfirmsOrDie(60_000);
        Broker.equal(returned.size(), 50, "returned messages");
        for (int n = 0; n < 50; n++) {
            Return back = returned.get(n);
            Broker.equal(new String(back.getBody()), Integer.toString(2 * n + 1), "returned body");
            Broker.equal(back.getReplyCode() + " " + back.getReplyText(), "312 NO_ROUTE", "reply");
            Broker.equal(back.getProperties().getMessageId(), "homeless", "message id");
        }
        Broker.equal(channel.queuePurge(QUEUE).getMessageCount(), 50, "messages that were routed");
    }
}
