import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.ACLProvider;
import org.apache.curator.framework.api.BackgroundCallback;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.api.transaction.OperationType;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** Curator's framework itself: transactions, background operations, ACLs, namespaces, states of the connection. */
final class FrameworkChecks {
    private FrameworkChecks() {}

    static void run(Report report) {
        report.check("nodes: versions, modes, protection, compression", FrameworkChecks::nodes);
        report.check("inTransaction: all or nothing", FrameworkChecks::inTransaction);
        report.check("transaction: results in order, all or nothing", FrameworkChecks::transaction);
        report.check("background: results and errors, in the order of the requests", FrameworkChecks::background);
        report.check("ACL provider: a digest keeps others out", FrameworkChecks::acls);
        report.check("namespace: paths are below it, and not shown", FrameworkChecks::namespace);
        report.check("connection states: an expired session is lost, then replaced", FrameworkChecks::states);
        report.check("session: the same one on another connection", FrameworkChecks::reattach);
    }

    private static void nodes(Room room) throws Exception {
        CuratorFramework client = room.client();
        String path = room.path + "/a/b";
        client.create().creatingParentContainersIfNeeded().forPath(path, Room.bytes("1"));
        Room.refused(KeeperException.NodeExistsException.class, () -> client.create().forPath(path));
        client.create().orSetData().forPath(path, Room.bytes("2"));
        Stat stat = new Stat();
        Room.equal(Room.text(client.getData().storingStatIn(stat).forPath(path)), "2", "the data");
        Room.equal(stat.getVersion(), 1, "the version");
        Room.refused(KeeperException.BadVersionException.class,
            () -> client.setData().withVersion(0).forPath(path, Room.bytes("3")));
        Room.refused(KeeperException.BadVersionException.class, () -> client.delete().withVersion(7).forPath(path));
        Room.refused(KeeperException.NotEmptyException.class, () -> client.delete().forPath(room.path));

        String first = client.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
            .forPath(room.path + "/s-");
        String second = client.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(room.path + "/s-");
        Room.require(first.matches(".*/_c_[0-9a-f-]{36}-s-\\d{10}"), first + " is no protected name");
        Room.require(first.substring(first.length() - 10).compareTo(second.substring(second.length() - 10)) < 0,
            second + " does not follow " + first);
        Room.equal(client.checkExists().forPath(first).getEphemeralOwner(), Room.session(client), "the owner");
        Room.refused(KeeperException.NoChildrenForEphemeralsException.class,
            () -> client.create().forPath(first + "/child"));

        byte[] large = new byte[300_000];
        client.create().compressed().forPath(room.path + "/zip", large);
        Room.require(Arrays.equals(client.getData().decompressed().forPath(room.path + "/zip"), large), "other data");
        Room.require(client.getData().forPath(room.path + "/zip").length < 10_000, "the data is not compressed");
        client.create().forPath(room.path + "/large", large);
        Room.require(Arrays.equals(client.getData().forPath(room.path + "/large"), large), "other data");
        client.delete().guaranteed().deletingChildrenIfNeeded().forPath(room.path);
        Room.equal(client.checkExists().forPath(room.path), null, "the node");
    }

    @SuppressWarnings("deprecation")
    private static void inTransaction(Room room) throws Exception {
        CuratorFramework client = room.client();
        client.create().creatingParentsIfNeeded().forPath(room.path);
        client.inTransaction()
            .create().forPath(room.path + "/a", Room.bytes("1"))
            .and().create().forPath(room.path + "/a/b")
            .and().setData().withVersion(0).forPath(room.path + "/a", Room.bytes("2"))
            .and().delete().forPath(room.path + "/a/b")
            .and().check().withVersion(1).forPath(room.path + "/a")
            .and().commit();
        Room.equal(Room.text(client.getData().forPath(room.path + "/a")), "2", "the data");
        Room.refused(KeeperException.BadVersionException.class, () -> client.inTransaction()
            .create().forPath(room.path + "/c")
            .and().check().withVersion(0).forPath(room.path + "/a")
            .and().commit());
        Room.equal(client.getChildren().forPath(room.path), Collections.singletonList("a"), "the children");
    }

    private static void transaction(Room room) throws Exception {
        CuratorFramework client = room.client();
        client.create().creatingParentsIfNeeded().forPath(room.path);
        List<CuratorTransactionResult> results = client.transaction().forOperations(
            client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(room.path + "/s-"),
            client.transactionOp().create().withMode(CreateMode.EPHEMERAL).forPath(room.path + "/e"),
            client.transactionOp().setData().forPath(room.path + "/e", Room.bytes("1")),
            client.transactionOp().delete().forPath(room.path + "/e"));
        Room.equal(results.get(0).getResultPath(), room.path + "/s-0000000000", "the first path");
        Room.equal(results.get(2).getType(), OperationType.SET_DATA, "the third type");
        Room.equal(results.get(2).getResultStat().getVersion(), 1, "the third version");
        KeeperException refused = Room.refused(KeeperException.NoNodeException.class,
            () -> client.transaction().forOperations(
                client.transactionOp().create().forPath(room.path + "/x"),
                client.transactionOp().delete().forPath(room.path + "/not-there"),
                client.transactionOp().create().forPath(room.path + "/y")));
        Room.equal(refused.getResults().size(), 3, "the number of results");
        Room.equal(client.getChildren().forPath(room.path), Collections.singletonList("s-0000000000"),
            "the children");
    }

    private static void background(Room room) throws Exception {
        int writes = 300;
        CuratorFramework client = room.client();
        Queue<String> results = new ConcurrentLinkedQueue<>();
        BackgroundCallback callback = (its, event) ->
            results.add(event.getType() + " " + event.getResultCode() + " " + event.getContext());
        client.create().creatingParentsIfNeeded().inBackground(callback, "a").forPath(room.path);
        Room.eventually("the first result", () -> results.contains("CREATE 0 a"));
        results.clear();
        List<String> expected = new ArrayList<>();
        for (int i = 0; i < writes; i++) {
            client.setData().inBackground(callback, i).forPath(room.path, Room.bytes("" + i));
            expected.add("SET_DATA 0 " + i);
        }
        client.getData().inBackground((its, event) -> results.add(Room.text(event.getData()))).forPath(room.path);
        client.getData().inBackground(callback, "b").forPath(room.path + "/not-there");
        client.checkExists().inBackground(callback, "c").forPath(room.path + "/not-there");
        client.getChildren().inBackground(callback, "d").forPath(room.path);
        client.delete().inBackground(callback, "e").forPath(room.path);
        client.sync().inBackground(callback, "f").forPath(room.path);
        expected.addAll(Arrays.asList("" + (writes - 1), "GET_DATA -101 b", "EXISTS -101 c", "CHILDREN 0 d",
            "DELETE 0 e", "SYNC 0 f"));
        Room.eventually("every result", () -> results.size() >= expected.size());
        Room.equal(new ArrayList<>(results), expected, "the list of results");
    }

    private static void acls(Room room) throws Exception {
        CuratorFramework stranger = room.client();
        // Made by a stranger: without it, the owner's provider would close the way for other checks.
        stranger.create().creatingParentsIfNeeded().forPath(room.path);
        CuratorFramework owner = room.client(builder -> builder.authorization("digest", Room.bytes("user:secret"))
            .aclProvider(new ACLProvider() {
                @Override
                public List<ACL> getDefaultAcl() {
                    return ZooDefs.Ids.CREATOR_ALL_ACL;
                }

                @Override
                public List<ACL> getAclForPath(String path) {
                    return getDefaultAcl();
                }
            }));
        CuratorFramework wrong =
            room.client(builder -> builder.authorization("digest", Room.bytes("user:another")));
        String path = room.path + "/mine";
        owner.create().forPath(path, Room.bytes("secret"));
        Id id = owner.getACL().forPath(path).get(0).getId();
        Room.require(id.getScheme().equals("digest") && id.getId().startsWith("user:"), "the ACL names " + id);
        for (CuratorFramework other : Arrays.asList(stranger, wrong)) {
            other.sync().forPath(path);
            Room.refused(KeeperException.NoAuthException.class, () -> other.getData().forPath(path));
            Room.refused(KeeperException.NoAuthException.class, () -> other.setData().forPath(path));
            Room.refused(KeeperException.NoAuthException.class, () -> other.create().forPath(path + "/child"));
            Room.refused(KeeperException.NoAuthException.class,
                () -> other.setACL().withACL(ZooDefs.Ids.OPEN_ACL_UNSAFE).forPath(path));
        }
        owner.setACL().withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath(path);
        stranger.sync().forPath(path);
        Room.equal(Room.text(stranger.getData().forPath(path)), "secret", "the data");
        Room.refused(KeeperException.NoAuthException.class, () -> owner.setData().forPath(path));
    }

    private static void namespace(Room room) throws Exception {
        CuratorFramework plain = room.client();
        CuratorFramework inside = room.client(builder -> builder.namespace(room.path.substring(1)));
        Queue<String> events = new ConcurrentLinkedQueue<>();
        inside.checkExists().usingWatcher((Watcher) event -> events.add(event.getPath())).forPath("/a");
        Room.equal(inside.create().forPath("/a", Room.bytes("1")), "/a", "the path");
        Room.eventually("the event shows the short path", () -> events.contains("/a"));
        plain.sync().forPath(room.path);
        Room.equal(Room.text(plain.getData().forPath(room.path + "/a")), "1", "the data below the namespace");
        CuratorFramework further = plain.usingNamespace(room.path.substring(1) + "/a");
        Room.equal(further.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/s"), "/s0000000000",
            "the path");
        Room.equal(inside.getChildren().forPath("/a"), Collections.singletonList("s0000000000"), "the children");
        inside.transaction().forOperations(inside.transactionOp().create().forPath("/t"));
        Room.require(plain.checkExists().forPath(room.path + "/t") != null, "a transaction left the namespace");
    }

    private static Queue<ConnectionState> states(CuratorFramework client) {
        Queue<ConnectionState> states = new ConcurrentLinkedQueue<>();
        client.getConnectionStateListenable().addListener((its, state) -> states.add(state));
        return states;
    }

    /** Another connection of the same session. */
    private static ZooKeeper twin(Room room, CuratorFramework client) throws Exception {
        ZooKeeper original = client.getZookeeperClient().getZooKeeper();
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper twin = new ZooKeeper(room.connect, Room.SESSION_MS, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        }, original.getSessionId(), original.getSessionPasswd());
        room.closing(twin);
        Room.require(connected.await(Room.PATIENCE_S, TimeUnit.SECONDS), "the session was not taken over");
        return twin;
    }

    private static void states(Room room) throws Exception {
        CuratorFramework client = room.unstarted(builder -> builder);
        Queue<ConnectionState> states = states(client);
        client.start();
        Room.eventually("it is connected", () -> states.contains(ConnectionState.CONNECTED));
        long session = Room.session(client);
        String path = room.path + "/mine";
        client.create().creatingParentsIfNeeded().withMode(CreateMode.EPHEMERAL).forPath(path);
        twin(room, client).close();
        Room.eventually("the loss is told", () -> states.contains(ConnectionState.LOST));
        Room.eventually("it is connected again", () -> states.contains(ConnectionState.RECONNECTED));
        Room.equal(new ArrayList<>(states), Arrays.asList(ConnectionState.CONNECTED, ConnectionState.SUSPENDED,
            ConnectionState.LOST, ConnectionState.RECONNECTED), "the list of states");
        Room.require(Room.session(client) != session, "the session that ended came back");
        Room.equal(client.checkExists().forPath(path), null, "the node of the session that ended");
    }

    private static void reattach(Room room) throws Exception {
        CuratorFramework client = room.client();
        String path = room.path + "/mine";
        client.create().creatingParentsIfNeeded().withMode(CreateMode.EPHEMERAL).forPath(path);
        long session = Room.session(client);
        ZooKeeper twin = twin(room, client);
        Room.equal(twin.getSessionId(), session, "the session");
        Room.equal(twin.exists(path, false).getEphemeralOwner(), session, "the owner");
        Room.equal(twin.getEphemerals(room.path), Collections.singletonList(path), "the session's nodes");
    }
}
