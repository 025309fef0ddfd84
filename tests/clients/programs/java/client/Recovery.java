import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A connection that dies comes back with its queues, bindings and consumers, and what was unsettled is delivered again. */
public class Recovery {
    static final String EXCHANGE = "java.recovery", QUEUE = "java.recovery.work";
    static final int CUTS = 5;

    public static void main(String[] arguments) {
        Broker.main(() -> {
            ConnectionFactory factory = Broker.factory();
            Link link = new Link(factory.getHost(), factory.getPort());
            factory.setHost("127.0.0.1");
            factory.setPort(link.port());
            factory.setNetworkRecoveryInterval(50);
            try (link; Connection straight = Broker.factory().newConnection(); Connection cut = factory.newConnection()) {
                recover(link, straight.createChannel(), cut);
            }
        });
    }

    static void recover(Link link, Channel control, Connection connection) throws Exception {
        control.queueDelete(QUEUE); // of a run that failed
        AtomicInteger recoveries = new AtomicInteger();
        ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
            public void handleRecovery(Recoverable recovered) {
                recoveries.incrementAndGet();
            }

            public void handleRecoveryStarted(Recoverable recovered) {}
        });

        Channel channel = connection.createChannel();
        channel.basicQos(1);
        channel.exchangeDeclare(EXCHANGE, "topic", false, true, null);
        BlockingQueue<Delivery> news = new LinkedBlockingQueue<>(), work = new LinkedBlockingQueue<>();
        // An exclusive queue dies with the connection, and comes back under a new name.
        String own = channel.queueDeclare().getQueue();
        channel.queueBind(own, EXCHANGE, "news.*");
        channel.basicConsume(own, true, (tag, delivery) -> news.add(delivery), tag -> {});
        channel.queueDeclare(QUEUE, true, false, false, null);
        channel.basicConsume(QUEUE, false, (tag, delivery) -> work.add(delivery), tag -> {});

        for (int n = 1; n <= CUTS; n++) {
            control.basicPublish("", QUEUE, null, ("task " + n).getBytes());
            Broker.check(!take(work, "task " + n).getEnvelope().isRedeliver(), "delivered for the first time");
            link.cut();
            int expected = n;
            Broker.until(() -> recoveries.get() == expected, "the connection does not come back");

            Delivery again = take(work, "task " + n);
            Broker.check(again.getEnvelope().isRedeliver(), "delivered again");
            channel.basicAck(again.getEnvelope().getDeliveryTag(), false);
            control.basicPublish(EXCHANGE, "news.today", null, ("news " + n).getBytes());
            take(news, "news " + n);
        }
        Broker.check(news.isEmpty() && work.isEmpty(), "delivered more than once");
        Broker.equal(control.consumerCount(QUEUE), 1L, "consumers of the queue");
        System.out.println("recovered " + CUTS + " times");
        control.queueDelete(QUEUE);
    }

    static Delivery take(BlockingQueue<Delivery> deliveries, String body) throws Exception {
        Delivery delivery = deliveries.poll(60, TimeUnit.SECONDS);
        Broker.check(delivery != null, "nothing came of: " + body);
        Broker.equal(new String(delivery.getBody()), body, "body");
        return delivery;
    }
}
