import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.client.HostProvider;
import org.apache.zookeeper.client.StaticHostProvider;

/**
 * A mix of recipes that goes on while somebody outside stops servers. Afterwards: no session was lost, nothing that
 * one at a time may have was had by two, and every cache holds what the tree holds.
 */
final class Hold {
    private static final int CLIENTS = 6;

    private final Room room;
    private final int seconds;
    private final List<CuratorFramework> clients = new ArrayList<>();
    private final List<Long> sessions = new ArrayList<>();
    private final List<ConcurrentLinkedQueue<ConnectionState>> states = new ArrayList<>();
    /** What each loop did: its rounds in all, and those begun in the last third of the time. */
    private final Map<String, AtomicInteger> rounds = new ConcurrentSkipListMap<>();
    private final Map<String, AtomicInteger> lateRounds = new ConcurrentHashMap<>();
    private final Map<String, Integer> heldTwice = new TreeMap<>();
    private long began;

    private Hold(Room room, int seconds) {
        this.room = room;
        this.seconds = seconds;
    }

    static void run(Report report, String connect, int seconds) throws Exception {
        try (Room room = new Room(connect, "/hold-" + java.util.UUID.randomUUID())) {
            new Hold(room, seconds).run(report);
        }
    }

    private void run(Report report) throws Exception {
        connect();
        clients.get(0).createContainers(room.path);
        clients.get(0).create().forPath(room.path + "/tree");
        Caches caches = new Caches();
        Elections elections = new Elections();
        Members members = new Members();
        Locks locks = new Locks();
        Counter counter = new Counter();
        System.out.println("holding");
        System.out.flush();

        began = System.nanoTime();
        List<Future<Void>> loops = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            int number = i;
            loops.add(loop("mutex", round -> locks.mutex(number, round)));
            loops.add(loop("read-write lock", round -> locks.readWrite(number, round)));
            loops.add(loop("semaphore", round -> locks.semaphore(number)));
        }
        loops.add(loop("tree changes", caches::change));
        loops.add(loop("leaders seen", round -> elections.look()));
        loops.add(loop("increments", round -> counter.increment(round)));
        report.line("every loop ran to its end", failures(loops), rounds.toString());
        report.line("every loop went on to the end", stalled(), "in the last third " + new TreeMap<>(lateRounds));
        report.line("sessions lost: " + lost(), lost() == 0 ? null : states.toString(), CLIENTS + " sessions, "
            + count(ConnectionState.SUSPENDED) + " times suspended, " + count(ConnectionState.RECONNECTED)
            + " times connected again");
        judge(report, "the mutex was held by one at a time", locks::complaint);
        report.line("held twice: " + heldTwice.values().stream().mapToInt(Integer::intValue).sum(),
            heldTwice.isEmpty() ? null : heldTwice.toString(), "locks, leases and leaderships");
        judge(report, "the counter has every increment", counter::complaint);
        judge(report, "one leader, seen by all", elections::complaint);
        judge(report, "all members of the group are there", members::groupComplaint);
        judge(report, "all instances of the service are there", members::serviceComplaint);
        judge(report, "every cache is equal to the tree", caches::complaint);
    }

    private interface Round {
        void run(int round) throws Exception;
    }

    private Future<Void> loop(String name, Round body) {
        rounds.putIfAbsent(name, new AtomicInteger());
        lateRounds.putIfAbsent(name, new AtomicInteger());
        return room.start(() -> {
            long end = began + TimeUnit.SECONDS.toNanos(seconds);
            long late = end - TimeUnit.SECONDS.toNanos(seconds) / 3;
            long now;
            for (int round = 0; (now = System.nanoTime()) < end; round++) {
                body.run(round);
                rounds.get(name).incrementAndGet();
                if (now >= late) {
                    lateRounds.get(name).incrementAndGet();
                }
            }
            return null;
        });
    }

    private String failures(List<Future<Void>> loops) throws Exception {
        for (Future<Void> loop : loops) {
            try {
                loop.get(seconds + 2 * Room.PATIENCE_S, TimeUnit.SECONDS);
            } catch (java.util.concurrent.ExecutionException e) {
                return Report.reason(e.getCause());
            }
        }
        return null;
    }

    private String stalled() {
        List<String> names = new ArrayList<>();
        lateRounds.forEach((name, count) -> {
            if (count.get() == 0) {
                names.add(name);
            }
        });
        return names.isEmpty() ? null : "nothing in the last third of the time: " + names;
    }

    private static void judge(Report report, String name, Callable<String> complaint) {
        String why;
        try {
            why = complaint.call();
        } catch (Exception e) {
            why = Report.reason(e);
        }
        report.line(name, why, "looked at after the loops");
    }

    private void twice(String what) {
        synchronized (heldTwice) {
            heldTwice.merge(what, 1, Integer::sum);
        }
    }

    /** The clients begin at different servers, so that whichever is stopped has some. */
    private void connect() throws Exception {
        for (int i = 0; i < CLIENTS; i++) {
            int first = i;
            CuratorFramework client = room.unstarted(builder -> builder.zookeeperFactory(
                (connect, timeout, watcher, readOnly) ->
                    new ZooKeeper(connect, timeout, watcher, readOnly, new InTurn(addresses(connect), first))));
            ConcurrentLinkedQueue<ConnectionState> seen = new ConcurrentLinkedQueue<>();
            client.getConnectionStateListenable().addListener((its, state) -> seen.add(state));
            client.start();
            Room.require(client.blockUntilConnected(Room.PATIENCE_S, TimeUnit.SECONDS), "not connected");
            clients.add(client);
            states.add(seen);
            sessions.add(Room.session(client));
        }
    }

    private static List<InetSocketAddress> addresses(String connect) {
        List<InetSocketAddress> found = new ArrayList<>();
        for (String one : connect.split(",")) {
            int colon = one.lastIndexOf(':');
            found.add(new InetSocketAddress(one.substring(0, colon), Integer.parseInt(one.substring(colon + 1))));
        }
        return found;
    }

    /** ZooKeeper's own provider of addresses, but for the first one it gives, which is chosen, not random. */
    private static final class InTurn implements HostProvider {
        private final StaticHostProvider rest;
        private InetSocketAddress first;

        InTurn(List<InetSocketAddress> addresses, int number) {
            rest = new StaticHostProvider(addresses);
            first = addresses.get(number % addresses.size());
        }

        @Override
        public int size() {
            return rest.size();
        }

        @Override
        public InetSocketAddress next(long spinDelay) {
            InetSocketAddress chosen = first;
            first = null;
            return chosen != null ? chosen : rest.next(spinDelay);
        }

        @Override
        public void onConnected() {
            rest.onConnected();
        }

        @Override
        public boolean updateServerList(Collection<InetSocketAddress> addresses, InetSocketAddress current) {
            return rest.updateServerList(addresses, current);
        }
    }

    private long lost() throws Exception {
        long lost = count(ConnectionState.LOST);
        for (int i = 0; i < CLIENTS; i++) {
            if (Room.session(clients.get(i)) != sessions.get(i)) {
                lost++;
            }
        }
        return lost;
    }

    private long count(ConnectionState state) {
        return states.stream().flatMap(Collection::stream).filter(one -> one == state).count();
    }

    /** A mutex and a read-write lock with fences, and a semaphore of two leases. */
    private final class Locks {
        private final Fence mutexFence = new Fence(clients.get(0), room.path + "/fences/mutex");
        private final Fence writeFence = new Fence(clients.get(0), room.path + "/fences/write");
        private final AtomicInteger readers = new AtomicInteger();
        private final AtomicInteger leases = new AtomicInteger();
        private final Map<Integer, InterProcessMutex> mutexes = new ConcurrentHashMap<>();
        private final Map<Integer, InterProcessReadWriteLock> readWriteLocks = new ConcurrentHashMap<>();

        Locks() throws Exception {}

        void mutex(int number, int round) throws Exception {
            CuratorFramework client = clients.get(number);
            InterProcessMutex lock =
                mutexes.computeIfAbsent(number, i -> new InterProcessMutex(client, room.path + "/mutex"));
            Room.require(lock.acquire(2 * Room.PATIENCE_S, TimeUnit.SECONDS), "the mutex was not granted");
            mutexFence.pass(client, number + "/" + round);
            lock.release();
        }

        void readWrite(int number, int round) throws Exception {
            CuratorFramework client = clients.get(number);
            InterProcessReadWriteLock lock = readWriteLocks.computeIfAbsent(number,
                i -> new InterProcessReadWriteLock(client, room.path + "/read-write"));
            boolean writes = (number + round) % 2 == 0;
            InterProcessMutex part = writes ? lock.writeLock() : lock.readLock();
            Room.require(part.acquire(2 * Room.PATIENCE_S, TimeUnit.SECONDS), "the read-write lock was not granted");
            if (writes) {
                writeFence.pass(client, number + "/" + round);
                if (readers.get() != 0) {
                    twice("a reader beside a writer");
                }
            } else {
                readers.incrementAndGet();
                client.checkExists().forPath(room.path);
                readers.decrementAndGet();
            }
            part.release();
        }

        void semaphore(int number) throws Exception {
            InterProcessSemaphoreV2 semaphore =
                new InterProcessSemaphoreV2(clients.get(number), room.path + "/semaphore", 2);
            Lease lease = semaphore.acquire(2 * Room.PATIENCE_S, TimeUnit.SECONDS);
            Room.require(lease != null, "no lease was granted");
            if (leases.incrementAndGet() > 2) {
                twice("a third lease of two");
            }
            clients.get(number).checkExists().forPath(room.path);
            leases.decrementAndGet();
            semaphore.returnLease(lease);
        }

        String complaint() throws Exception {
            String complaint = mutexFence.complaint(clients.get(0));
            return complaint != null ? complaint : writeFence.complaint(clients.get(0));
        }
    }

    /** A latch at each client. */
    private final class Elections {
        private final List<LeaderLatch> latches = new ArrayList<>();

        Elections() throws Exception {
            for (int i = 0; i < CLIENTS; i++) {
                LeaderLatch latch =
                    room.closing(new LeaderLatch(clients.get(i), room.path + "/leader", "client " + i));
                latch.start();
                latches.add(latch);
            }
            Room.eventually("somebody leads", () -> leaders() == 1);
        }

        private long leaders() {
            return latches.stream().filter(LeaderLatch::hasLeadership).count();
        }

        void look() throws InterruptedException {
            // Latches are asked one after the other, and leadership may move meanwhile: twice in a row counts.
            if (leaders() > 1 && leaders() > 1) {
                twice("a leadership");
            }
            Thread.sleep(1);
        }

        String complaint() throws Exception {
            Room.eventually("there is one leader", () -> leaders() == 1);
            for (LeaderLatch latch : latches) {
                Room.eventually("all name the one that leads", () -> latches.stream()
                    .anyMatch(one -> one.hasLeadership() && one.getId().equals(leaderSeenBy(latch))));
            }
            return null;
        }

        private String leaderSeenBy(LeaderLatch latch) {
            try {
                return latch.getLeader().getId();
            } catch (Exception e) {
                return e.toString();
            }
        }
    }

    /** Each client is a member of a group and an instance of a service. */
    private final class Members {
        private final List<GroupMember> group = new ArrayList<>();
        private final List<ServiceCache<String>> services = new ArrayList<>();

        Members() throws Exception {
            for (int i = 0; i < CLIENTS; i++) {
                GroupMember member = room.closing(new GroupMember(clients.get(i), room.path + "/group", "m" + i));
                member.start();
                group.add(member);
                ServiceDiscovery<String> discovery = DiscoveryChecks.discovery(room, clients.get(i));
                discovery.registerService(DiscoveryChecks.instance("i" + i, "of " + i));
                services.add(DiscoveryChecks.cache(room, discovery));
            }
        }

        String groupComplaint() throws Exception {
            for (GroupMember member : group) {
                Room.eventually("six members", () -> member.getCurrentMembers().size() == CLIENTS, Room.PATIENCE_S,
                    () -> "; there are " + member.getCurrentMembers().keySet());
            }
            return null;
        }

        String serviceComplaint() throws Exception {
            Set<String> expected = new TreeSet<>();
            for (int i = 0; i < CLIENTS; i++) {
                expected.add("i" + i + "=of " + i);
            }
            for (ServiceCache<String> cache : services) {
                Room.eventually("six instances", () -> DiscoveryChecks.ids(cache.getInstances()).equals(expected),
                    Room.PATIENCE_S, () -> "; there are " + DiscoveryChecks.ids(cache.getInstances()));
            }
            return null;
        }
    }

    private final class Counter {
        private final DistributedAtomicLong number = new DistributedAtomicLong(clients.get(CLIENTS - 1),
            room.path + "/number", new RetryNTimes(100, 10));
        private long acknowledged;

        void increment(int round) throws Exception {
            AtomicValue<Long> value = number.increment();
            acknowledged += value.succeeded() ? 1 : 0;
            Thread.sleep(2);
        }

        /** Curator counts once more when it asked again after a broken connection: there may be more, never less. */
        String complaint() throws Exception {
            long found = number.get().postValue();
            return found >= acknowledged ? null : acknowledged + " were acknowledged, the counter says " + found;
        }
    }

    /** A tree that one client changes, and caches of it at the others. */
    @SuppressWarnings("deprecation")
    private final class Caches {
        private final String root = room.path + "/tree";
        private final Workload workload = new Workload(root, 4);
        private final Map<String, Callable<TreeMap<String, String>>> whole = new TreeMap<>();
        private final Map<String, Callable<TreeMap<String, String>>> children = new TreeMap<>();

        Caches() throws Exception {
            for (int i = 0; i < CLIENTS; i++) {
                CuratorFramework client = clients.get(i);
                // Not both kinds at one client: in ZooKeeper 3.8 a one-shot watch takes the place of the persistent
                // one at the same node.
                if (i % 2 == 0) {
                    CuratorCache cache = room.closing(CuratorCache.build(client, root));
                    cache.start();
                    whole.put("CuratorCache of client " + i, () -> CacheChecks.contents(cache));
                    continue;
                }
                TreeCache treeCache = room.closing(TreeCache.newBuilder(client, root).build());
                treeCache.start();
                whole.put("TreeCache of client " + i, () -> CacheChecks.contents(treeCache));
                PathChildrenCache childrenCache = room.closing(new PathChildrenCache(client, root, true));
                childrenCache.start();
                children.put("PathChildrenCache of client " + i, () -> CacheChecks.contents(childrenCache));
            }
        }

        void change(int round) throws Exception {
            workload.change(clients.get(round % CLIENTS));
            Thread.sleep(2);
        }

        String complaint() throws Exception {
            CuratorFramework reader = clients.get(0);
            reader.sync().forPath(root);
            TreeMap<String, String> tree = Room.tree(reader, root);
            Room.require(tree.size() > 1, "the tree is empty: there is nothing to compare");
            settle(whole, tree);
            settle(children, CacheChecks.children(tree, root));
            return null;
        }

        private void settle(Map<String, Callable<TreeMap<String, String>>> caches, TreeMap<String, String> tree)
            throws Exception {
            for (Map.Entry<String, Callable<TreeMap<String, String>>> cache : caches.entrySet()) {
                CacheChecks.settles(cache.getKey(), cache.getValue(), tree);
            }
        }
    }
}
