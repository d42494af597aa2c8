import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.WatcherRemoveCuratorFramework;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.data.Stat;

/** Nodes that Curator keeps alive, and watches: one-shot, persistent, recursive, and their removal. */
final class NodeChecks {
    private NodeChecks() {}

    /**
     * `reapSeconds`: within this time the servers remove empty containers and expired nodes; 0 leaves that out.
     * `sideBySide`: a one-shot watch leaves a persistent one at the same node alone, as ZooKeeper does since 3.9.
     */
    static void run(Report report, int reapSeconds, boolean sideBySide) {
        report.check("persistent node: comes back when deleted, ends with its client", NodeChecks::persistentNode);
        report.check("persistent TTL node: is touched as long as it is wanted", NodeChecks::ttlNode);
        report.check("group member: members see each other come and go", NodeChecks::group);
        report.check("persistent watcher: every event once and in order", NodeChecks::persistentWatcher);
        report.check("persistent recursive watcher: the events of the whole tree", NodeChecks::recursiveWatcher);
        report.check("watches: one-shot watches fire once", NodeChecks::oneShot);
        report.check("watches: what is removed does not fire", NodeChecks::removal);
        if (sideBySide) {
            report.check("watches: one-shot and persistent ones live side by side", NodeChecks::sideBySide);
        }
        if (reapSeconds > 0) {
            report.check("containers and TTL nodes are removed by the servers", room -> reaped(room, reapSeconds));
        }
    }

    private static void persistentNode(Room room) throws Exception {
        CuratorFramework owner = room.client();
        CuratorFramework other = room.client();
        String path = room.path + "/node";
        PersistentNode node =
            room.closing(new PersistentNode(owner, CreateMode.EPHEMERAL, false, path, Room.bytes("one")));
        node.start();
        Room.require(node.waitForInitialCreate(Room.PATIENCE_S, java.util.concurrent.TimeUnit.SECONDS), "not made");
        other.sync().forPath(path);
        Stat first = other.checkExists().forPath(path);
        Room.equal(first.getEphemeralOwner(), Room.session(owner), "the owner");
        other.delete().forPath(path);
        Room.eventually("it is there again", () -> {
            Stat now = other.checkExists().forPath(path);
            return now != null && now.getCzxid() > first.getCzxid();
        });
        node.setData(Room.bytes("two"));
        Room.eventually("it has its new data", () -> "two".equals(Room.text(other.getData().forPath(path))));
        node.close();
        Room.eventually("it is gone with its recipe", () -> other.checkExists().forPath(path) == null);
    }

    private static void ttlNode(Room room) throws Exception {
        CuratorFramework client = room.client();
        String touched = room.path + "/node/" + PersistentTtlNode.DEFAULT_CHILD_NODE_NAME;
        PersistentTtlNode node =
            room.closing(new PersistentTtlNode(client, room.path + "/node", 600, Room.bytes("kept")));
        node.start();
        Room.require(node.waitForInitialCreate(Room.PATIENCE_S, java.util.concurrent.TimeUnit.SECONDS), "not made");
        Room.eventually("its child is made", () -> client.checkExists().forPath(touched) != null);
        Stat first = client.checkExists().forPath(touched);
        Room.equal(first.getEphemeralOwner(), 0L, "the owner of a TTL node");
        Room.eventually("its child is touched twice", () -> {
            Stat now = client.checkExists().forPath(touched);
            return now != null && now.getMzxid() > first.getMzxid() && now.getVersion() >= 2;
        });
        Room.equal(Room.text(client.getData().forPath(room.path + "/node")), "kept", "its data");
    }

    private static void reaped(Room room, int seconds) throws Exception {
        CuratorFramework client = room.client();
        String node = room.path + "/ttl";
        client.create().creatingParentsIfNeeded().forPath(room.path + "/parent");
        client.create().withTtl(300).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath(node);
        String second = client.create().withTtl(300).withMode(CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL).forPath(node);
        client.create().withTtl(300).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath(room.path + "/busy");
        client.create().forPath(room.path + "/busy/child");
        client.create().withMode(CreateMode.CONTAINER).forPath(room.path + "/unused");
        client.create().withMode(CreateMode.CONTAINER).forPath(room.path + "/container");
        client.create().forPath(room.path + "/container/child");
        client.delete().forPath(room.path + "/container/child");
        Room.eventually("all that is due is gone", () -> client.checkExists().forPath(node) == null
            && client.checkExists().forPath(second) == null
            && client.checkExists().forPath(room.path + "/container") == null, seconds, () -> "; there is "
            + client.getChildren().forPath(room.path));
        Room.equal(new HashSet<>(client.getChildren().forPath(room.path)),
            new HashSet<>(Arrays.asList("parent", "busy", "unused")), "what is left");
    }

    private static void group(Room room) throws Exception {
        CuratorFramework[] clients = room.clients(3);
        GroupMember[] members = new GroupMember[3];
        for (int i = 0; i < members.length; i++) {
            members[i] = room.closing(new GroupMember(clients[i], room.path, "m" + i, Room.bytes("data " + i)));
            members[i].start();
        }
        for (GroupMember member : members) {
            Room.eventually("all see three", () -> member.getCurrentMembers().size() == 3);
            Room.equal(Room.text(member.getCurrentMembers().get("m1")), "data 1", "the data of a member");
        }
        members[1].setThisData(Room.bytes("changed"));
        Room.eventually("others see its new data",
            () -> "changed".equals(Room.text(members[2].getCurrentMembers().get("m1"))));
        members[0].close();
        clients[2].close();
        Set<String> left = Collections.singleton("m1");
        Room.eventually("those who left are gone", () -> members[1].getCurrentMembers().keySet().equals(left));
    }

    private static Watcher into(Queue<String> events, String base) {
        return event -> events.add(described(event, base));
    }

    private static String described(WatchedEvent event, String base) {
        String path = event.getPath();
        return event.getType() + " " + (path != null && path.startsWith(base) ? path.substring(base.length()) : path);
    }

    private static void expect(Queue<String> events, String... expected) throws Exception {
        List<String> all = Arrays.asList(expected);
        Room.eventually("the events " + all, () -> events.size() >= all.size(), Room.PATIENCE_S,
            () -> "; there came " + events);
        Room.equal(List.copyOf(events), all, "the list of events");
    }

    private static void watchedWork(CuratorFramework client, String path) throws Exception {
        client.create().creatingParentsIfNeeded().forPath(path, Room.bytes("1"));
        client.create().forPath(path + "/a", Room.bytes("1"));
        client.setData().forPath(path, Room.bytes("2"));
        client.setData().forPath(path + "/a", Room.bytes("2"));
        client.create().forPath(path + "/a/b");
        client.delete().forPath(path + "/a/b");
        client.delete().forPath(path + "/a");
        client.delete().forPath(path);
    }

    private static void persistentWatcher(Room room) throws Exception {
        CuratorFramework client = room.client();
        Queue<String> events = new ConcurrentLinkedQueue<>();
        watch(room, client, false, events);
        watchedWork(room.client(), room.path + "/x");
        expect(events, "NodeCreated ", "NodeChildrenChanged ", "NodeDataChanged ", "NodeChildrenChanged ",
            "NodeDeleted ");
    }

    private static void recursiveWatcher(Room room) throws Exception {
        CuratorFramework client = room.client();
        Queue<String> events = new ConcurrentLinkedQueue<>();
        watch(room, client, true, events);
        watchedWork(room.client(), room.path + "/x");
        expect(events, "NodeCreated ", "NodeCreated /a", "NodeDataChanged ", "NodeDataChanged /a",
            "NodeCreated /a/b", "NodeDeleted /a/b", "NodeDeleted /a", "NodeDeleted ");
    }

    private static void watch(Room room, CuratorFramework client, boolean recursive, Queue<String> events)
        throws Exception {
        PersistentWatcher watcher = room.closing(new PersistentWatcher(client, room.path + "/x", recursive));
        Queue<String> resets = new ConcurrentLinkedQueue<>();
        watcher.getListenable().addListener(into(events, room.path + "/x"));
        watcher.getResetListenable().addListener(() -> resets.add("set"));
        watcher.start();
        Room.eventually("the watch is set", () -> !resets.isEmpty());
    }

    private static void oneShot(Room room) throws Exception {
        CuratorFramework client = room.client();
        CuratorFramework other = room.client();
        Queue<String> events = new ConcurrentLinkedQueue<>();
        String path = room.path + "/x";
        Watcher watcher = into(events, path);
        Room.equal(client.checkExists().usingWatcher(watcher).forPath(path), null, "the node");
        other.create().creatingParentsIfNeeded().forPath(path);
        expect(events, "NodeCreated ");
        client.getChildren().usingWatcher(watcher).forPath(path);
        other.create().forPath(path + "/a");
        other.create().forPath(path + "/b");
        expect(events, "NodeCreated ", "NodeChildrenChanged ");
        client.getData().usingWatcher(watcher).forPath(path);
        other.setData().forPath(path, Room.bytes("1"));
        other.setData().forPath(path, Room.bytes("2"));
        // Events come before the reply to a later read, so nothing can be on its way after this one.
        client.sync().forPath(path);
        client.getData().forPath(path);
        expect(events, "NodeCreated ", "NodeChildrenChanged ", "NodeDataChanged ");
    }

    private static void sideBySide(Room room) throws Exception {
        CuratorFramework client = room.client();
        CuratorFramework other = room.client();
        String path = room.path + "/x";
        other.create().creatingParentsIfNeeded().forPath(path);
        client.sync().forPath(path);
        Queue<String> lasting = new ConcurrentLinkedQueue<>();
        Queue<String> once = new ConcurrentLinkedQueue<>();
        client.watchers().add().withMode(AddWatchMode.PERSISTENT).usingWatcher(into(lasting, path)).forPath(path);
        client.getData().usingWatcher(into(once, path)).forPath(path);
        other.setData().forPath(path, Room.bytes("1"));
        other.setData().forPath(path, Room.bytes("2"));
        expect(lasting, "NodeDataChanged ", "NodeDataChanged ");
        expect(once, "NodeDataChanged ");
    }

    private static void removal(Room room) throws Exception {
        CuratorFramework client = room.client();
        CuratorFramework other = room.client();
        String path = room.path + "/x";
        other.create().creatingParentsIfNeeded().forPath(path);
        client.sync().forPath(path);
        Queue<String> events = new ConcurrentLinkedQueue<>();
        Watcher watcher = into(events, path);
        client.getData().usingWatcher(watcher).forPath(path);
        client.watchers().remove(watcher).ofType(Watcher.WatcherType.Data).forPath(path);
        expect(events, "DataWatchRemoved ");
        client.getChildren().usingWatcher(watcher).forPath(path);
        client.watchers().removeAll().ofType(Watcher.WatcherType.Children).forPath(path);
        expect(events, "DataWatchRemoved ", "ChildWatchRemoved ");
        Room.refused(KeeperException.NoWatcherException.class,
            () -> client.watchers().remove(watcher).ofType(Watcher.WatcherType.Any).forPath(path));
        client.watchers().remove(watcher).quietly().forPath(path);

        client.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE).usingWatcher(watcher).forPath(path);
        other.create().forPath(path + "/a");
        expect(events, "DataWatchRemoved ", "ChildWatchRemoved ", "NodeCreated /a");
        client.watchers().remove(watcher).ofType(Watcher.WatcherType.Any).forPath(path);
        WatcherRemoveCuratorFramework removing = client.newWatcherRemoveCuratorFramework();
        Queue<String> removed = new ConcurrentLinkedQueue<>();
        removing.getData().usingWatcher(into(removed, path)).forPath(path);
        removing.removeWatchers();
        expect(removed, "DataWatchRemoved ");
        other.setData().forPath(path, Room.bytes("unseen"));
        client.sync().forPath(path);
        client.getData().forPath(path);
        Room.require(events.stream().noneMatch(event -> event.startsWith("NodeDataChanged")), "fired: " + events);
        expect(removed, "DataWatchRemoved ");
    }
}
