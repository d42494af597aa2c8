import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * Proves that no two held a lock at once: whoever holds it reads a counter in a node and writes the next number with
 * the version it read. Another holder in between makes that version stale. Since all holders are threads of this
 * process, they are counted here as well.
 */
final class Fence {
    private final String path;
    private final AtomicInteger inside = new AtomicInteger();
    private final AtomicLong passed = new AtomicLong();
    private final AtomicLong violations = new AtomicLong();

    Fence(CuratorFramework client, String path) throws Exception {
        this.path = path;
        client.create().creatingParentsIfNeeded().forPath(path, Room.bytes("0 nobody"));
    }

    /** One passage of the holder of the lock; `who` is different for every holder. */
    void pass(CuratorFramework client, String who) throws Exception {
        if (inside.incrementAndGet() != 1) {
            violations.incrementAndGet();
        }
        try {
            count(client, who);
            passed.incrementAndGet();
        } finally {
            inside.decrementAndGet();
        }
    }

    private void count(CuratorFramework client, String who) throws Exception {
        Stat stat = new Stat();
        long number = number(client.getData().storingStatIn(stat).forPath(path));
        String next = number + 1 + " " + who;
        try {
            client.setData().withVersion(stat.getVersion()).forPath(path, Room.bytes(next));
        } catch (KeeperException.BadVersionException e) {
            // When the connection broke, Curator asked again; then the first try may be what made the version stale.
            if (!next.equals(Room.text(client.getData().forPath(path)))) {
                violations.incrementAndGet();
            }
        }
    }

    private static long number(byte[] data) {
        return Long.parseLong(Room.text(data).split(" ")[0]);
    }

    long passed() {
        return passed.get();
    }

    /** How often two were inside at once. */
    long violations() {
        return violations.get();
    }

    /** Null when every passage was alone, otherwise what was found. `client` sees all writes that ended. */
    String complaint(CuratorFramework client) throws Exception {
        client.sync().forPath(path);
        long counted = number(client.getData().forPath(path));
        if (violations() != 0) {
            return violations() + " of " + passed() + " passages were not alone";
        }
        return counted == passed() ? null : passed() + " passages, but the counter says " + counted;
    }

    void require(CuratorFramework client) throws Exception {
        String complaint = complaint(client);
        Room.require(complaint == null, complaint);
    }
}
