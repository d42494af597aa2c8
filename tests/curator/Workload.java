import java.util.Random;
import org.apache.curator.framework.CuratorFramework;
import org.apache.zookeeper.KeeperException;

/** Random changes of a small tree: creates, writes and deletes of nodes up to two levels below its root. */
final class Workload {
    private final String root;
    private final Random random;
    private int changes;

    Workload(String root, long seed) {
        this.root = root;
        this.random = new Random(seed);
    }

    /** One change; a node that is there already or not there is no failure. */
    void change(CuratorFramework client) throws Exception {
        String path = root + "/n" + random.nextInt(6) + (random.nextInt(3) == 0 ? "" : "/m" + random.nextInt(3));
        byte[] data = Room.bytes("change " + ++changes);
        try {
            switch (random.nextInt(4)) {
                case 0:
                    client.delete().deletingChildrenIfNeeded().forPath(path);
                    break;
                case 1:
                    client.setData().forPath(path, data);
                    break;
                default:
                    client.create().forPath(path, data);
            }
        } catch (KeeperException.NoNodeException | KeeperException.NodeExistsException alike) {
            // The next change may fit.
        }
    }
}
