import com.rabbitmq.client.ConnectionFactory;
import java.util.concurrent.Callable;

/** What the programs share: the broker under test, waiting with a bound, and an end with the right exit code. */
class Broker {
    static ConnectionFactory factory() throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        return factory;
    }

    static void until(Callable<Boolean> condition, String what) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (!condition.call()) {
            check(System.nanoTime() < deadline, what);
            Thread.sleep(5);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void equal(Object got, Object expected, String what) {
        check(got.equals(expected), what + ": got " + got + ", expected " + expected);
    }

    interface Program {
        void run() throws Exception;
    }

    /** A failure of the main thread must not leave the client's threads running. */
    static void main(Program program) {
        try {
            program.run();
            System.exit(0);
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }
}
