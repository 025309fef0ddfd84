import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A port that leads to the broker, and that can be cut: to both sides it looks as if the other one had died. */
class Link implements AutoCloseable {
    private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private final String host;
    private final int port;

    Link(String host, int port) throws IOException {
        this.host = host;
        this.port = port;
        start(() -> {
            while (true) {
                Socket client = listener.accept(), broker = new Socket(this.host, this.port);
                sockets.add(client);
                sockets.add(broker);
                start(() -> client.getInputStream().transferTo(broker.getOutputStream()));
                start(() -> broker.getInputStream().transferTo(client.getOutputStream()));
            }
        });
    }

    int port() {
        return listener.getLocalPort();
    }

    void cut() throws IOException {
        for (Socket socket : sockets) socket.close();
        sockets.clear();
    }

    @Override
    public void close() throws IOException {
        listener.close();
        cut();
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void start(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException closed) {
                // by cut or close
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
