import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.Delivery;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Settling many messages at once: multiple acks within a prefetch, multiple nacks, and what a closed channel leaves. */
public class Acks {
    static final String QUEUE = "java.acks";
    static final int PREFETCH = 50, COUNT = 40 * PREFETCH;

    public static void main(String[] arguments) {
        Broker.main(() -> {
            try (Connection connection = Broker.factory().newConnection()) {
                Channel channel = connection.createChannel();
                channel.queueDelete(QUEUE); // of a run that failed
                channel.queueDeclare(QUEUE, false, false, false, null);
                channel.confirmSelect();
                for (int n = 0; n < COUNT; n++) channel.basicPublish("", QUEUE, null, Integer.toString(n).getBytes());
                channel.waitForConfirmsOrDie(60_000);
                settle(connection);
                Broker.equal(channel.messageCount(QUEUE), 0L, "messages that are left");
                channel.queueDelete(QUEUE);
            }
        });
    }

    static void settle(Connection connection) throws Exception {
        Consumer consumer = new Consumer(connection);
        // The first window goes back as a whole and comes again, in order and marked.
        List<Delivery> window = consumer.take(PREFETCH);
        Broker.check(consumer.deliveries.isEmpty(), "more came than the prefetch allows");
        consumer.channel.basicNack(last(window), true, true);
        window = consumer.take(PREFETCH);
        for (int n = 0; n < PREFETCH; n++) {
            Broker.equal(text(window.get(n)), Integer.toString(n), "requeued message");
            Broker.check(window.get(n).getEnvelope().isRedeliver(), "not marked as redelivered");
        }
        // Half of it is settled by one ack; a channel that closes gives the rest back, here to the next one.
        consumer.channel.basicAck(window.get(PREFETCH / 2 - 1).getEnvelope().getDeliveryTag(), true);
        consumer.channel.close();

        consumer = new Consumer(connection);
        int next = PREFETCH / 2;
        while (next < COUNT) {
            window = consumer.take(Math.min(PREFETCH, COUNT - next));
            for (Delivery delivery : window) Broker.equal(text(delivery), Integer.toString(next++), "body in its place");
            consumer.channel.basicAck(last(window), true);
        }
        consumer.channel.close();
        System.out.println(COUNT + " messages settled " + PREFETCH + " at a time");
    }

    static class Consumer {
        final Channel channel;
        final BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();

        Consumer(Connection connection) throws Exception {
            channel = connection.createChannel();
            channel.basicQos(PREFETCH);
            channel.basicConsume(QUEUE, false, (tag, delivery) -> deliveries.add(delivery), tag -> {});
        }

        List<Delivery> take(int count) throws Exception {
            List<Delivery> taken = new ArrayList<>();
            while (taken.size() < count) {
                Delivery delivery = deliveries.poll(60, TimeUnit.SECONDS);
                Broker.check(delivery != null, "only " + taken.size() + " of " + count + " messages came");
                taken.add(delivery);
            }
            return taken;
        }
    }

    static long last(List<Delivery> window) {
        return window.get(window.size() - 1).getEnvelope().getDeliveryTag();
    }

    static String text(Delivery delivery) {
        return new String(delivery.getBody());
    }
}
