import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.RpcClient;
import com.rabbitmq.client.RpcClientParams;
import com.rabbitmq.client.RpcServer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;

/** Calls whose answers come back over amq.rabbitmq.reply-to: by hand, and with the client's own classes for calls. */
public class DirectReplies {
    static final String QUEUE = "java.calls", REPLIES = "amq.rabbitmq.reply-to";
    static final int CALLS = 500;

    public static void main(String[] arguments) {
        Broker.main(() -> {
            ConnectionFactory factory = Broker.factory();
            try (Connection served = factory.newConnection(); Connection other = factory.newConnection()) {
                Channel service = served.createChannel();
                service.queueDeclare(QUEUE, false, true, false, null);
                RpcServer server = new RpcServer(service, QUEUE) {
                    @Override
                    public byte[] handleCall(byte[] request, BasicProperties properties) {
                        return ("re: " + new String(request)).getBytes();
                    }
                };
                Thread serving = new Thread(() -> Broker.main(server::mainloop));
                serving.setDaemon(true);
                serving.start();
                byHand(other.createChannel());
                classes(other);
            }
        });
    }

    static void byHand(Channel channel) throws Exception {
        ConcurrentMap<String, CompletableFuture<String>> waiting = new ConcurrentHashMap<>();
        channel.basicConsume(REPLIES, true, (tag, reply) ->
            waiting.get(reply.getProperties().getCorrelationId()).complete(new String(reply.getBody())), tag -> {});
        List<CompletableFuture<String>> answers = new ArrayList<>();
        for (int n = 0; n < CALLS; n++) {
            String call = Integer.toString(n);
            answers.add(new CompletableFuture<>());
            waiting.put(call, answers.get(n));
            var properties = new BasicProperties.Builder().replyTo(REPLIES).correlationId(call).build();
            channel.basicPublish("", QUEUE, properties, call.getBytes());
        }
        for (int n = 0; n < CALLS; n++) Broker.equal(answers.get(n).get(60, TimeUnit.SECONDS), "re: " + n, "answer");
        System.out.println(CALLS + " calls answered");
    }

    static void classes(Connection connection) throws Exception {
        try (Channel one = connection.createChannel(); Channel two = connection.createChannel()) {
            RpcClient first = new RpcClient(params(one)), second = new RpcClient(params(two));
            for (int n = 0; n < 50; n++) {
                Broker.equal(first.stringCall("first " + n), "re: first " + n, "answer");
                Broker.equal(second.stringCall("second " + n), "re: second " + n, "answer");
            }
        }
    }

    static RpcClientParams params(Channel channel) {
        return new RpcClientParams().channel(channel).exchange("").routingKey(QUEUE).replyTo(REPLIES).timeout(60_000);
    }
}
