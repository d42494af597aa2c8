import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** What a check works with: a path of its own, clients and threads that end with it, and ways to insist. */
final class Room implements AutoCloseable {
    static final int SESSION_MS = 15_000;
    static final int PATIENCE_S = 15;
    /** Long enough to see that something is not granted, in milliseconds. */
    static final int REFUSED_MS = 250;

    /** A promise that was not kept. */
    static final class Broken extends RuntimeException {
        private static final long serialVersionUID = 1;

        Broken(String text) {
            super(text);
        }
    }

    final String connect;
    final String path;
    private final List<AutoCloseable> toClose = new ArrayList<>();
    private final ExecutorService threads = Executors.newCachedThreadPool(body -> {
        Thread thread = new Thread(body);
        thread.setDaemon(true);
        return thread;
    });

    Room(String connect, String path) {
        this.connect = connect;
        this.path = path;
    }

    /** A started client with a session of its own. */
    CuratorFramework client() {
        return client(builder -> builder);
    }

    CuratorFramework client(UnaryOperator<CuratorFrameworkFactory.Builder> change) {
        CuratorFramework client = unstarted(change);
        client.start();
        return client;
    }

    CuratorFramework unstarted(UnaryOperator<CuratorFrameworkFactory.Builder> change) {
        CuratorFrameworkFactory.Builder builder = CuratorFrameworkFactory.builder()
            .connectString(connect)
            .sessionTimeoutMs(SESSION_MS)
            .connectionTimeoutMs(10_000)
            .maxCloseWaitMs(200)
            // A change of leader takes seconds; a client that gives up sooner tells us nothing.
            .retryPolicy(new RetryNTimes(150, 100));
        return closing(change.apply(builder).build());
    }

    CuratorFramework[] clients(int count) {
        CuratorFramework[] made = new CuratorFramework[count];
        for (int i = 0; i < count; i++) {
            made[i] = client();
        }
        return made;
    }

    /** Closes `resource` with the room, in the opposite order of these calls. */
    synchronized <T extends AutoCloseable> T closing(T resource) {
        toClose.add(resource);
        return resource;
    }

    <T> Future<T> start(Callable<T> body) {
        return threads.submit(body);
    }

    /** Runs `body` for each number below `count` at the same time; throws what one of them threw. */
    void together(int count, Numbered body) throws Exception {
        List<Future<Void>> running = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int number = i;
            running.add(start(() -> {
                body.run(number);
                return null;
            }));
        }
        for (Future<Void> one : running) {
            get(one);
        }
    }

    interface Numbered {
        void run(int number) throws Exception;
    }

    static <T> T get(Future<T> future) throws Exception {
        try {
            return future.get(2 * PATIENCE_S, TimeUnit.SECONDS);
        } catch (java.util.concurrent.ExecutionException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    static void require(boolean held, String otherwise) {
        if (!held) {
            throw new Broken(otherwise);
        }
    }

    static void equal(Object found, Object expected, String what) {
        require(Objects.equals(found, expected), what + " is " + found + ", not " + expected);
    }

    /** Asks until it holds; what servers and caches do by themselves takes its time. */
    static void eventually(String what, Callable<Boolean> holds) throws Exception {
        eventually(what, holds, PATIENCE_S, () -> "");
    }

    static void eventually(String what, Callable<Boolean> holds, int seconds, Callable<String> instead)
        throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!holds.call()) {
            if (System.nanoTime() > deadline) {
                throw new Broken("not within " + seconds + " s: " + what + instead.call());
            }
            Thread.sleep(5);
        }
    }

    /** The exception that `body` throws, which must be one of `type`. */
    static <T extends Exception> T refused(Class<T> type, Callable<?> body) throws Exception {
        try {
            Object answer = body.call();
            throw new Broken("no " + type.getSimpleName() + " but " + answer);
        } catch (Exception e) {
            if (type.isInstance(e)) {
                return type.cast(e);
            }
            throw e;
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] data) {
        return data == null ? null : new String(data, StandardCharsets.UTF_8);
    }

    static long session(CuratorFramework client) throws Exception {
        return client.getZookeeperClient().getZooKeeper().getSessionId();
    }

    /** The nodes below `path` and itself: path to "data@mzxid". Empty when there is none. */
    static TreeMap<String, String> tree(CuratorFramework client, String path) throws Exception {
        TreeMap<String, String> found = new TreeMap<>();
        collect(client, path, found);
        return found;
    }

    private static void collect(CuratorFramework client, String path, TreeMap<String, String> found)
        throws Exception {
        try {
            Stat stat = new Stat();
            byte[] data = client.getData().storingStatIn(stat).forPath(path);
            found.put(path, described(data, stat));
            for (String child : client.getChildren().forPath(path)) {
                collect(client, path + "/" + child, found);
            }
        } catch (KeeperException.NoNodeException gone) {
            found.remove(path);
        }
    }

    static String described(byte[] data, Stat stat) {
        return text(data) + "@" + stat.getMzxid();
    }

    @Override
    public void close() {
        threads.shutdownNow();
        List<AutoCloseable> resources;
        synchronized (this) {
            resources = new ArrayList<>(toClose);
        }
        for (int i = resources.size() - 1; i >= 0; i--) {
            try {
                resources.get(i).close();
            } catch (Exception closedByTheCheck) {
                // Curator refuses to close some recipes twice, and a check may have closed this one.
            }
        }
    }
}
