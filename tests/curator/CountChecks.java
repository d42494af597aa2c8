import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.atomic.PromotedToLock;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;

/** Barriers, counters and queues. */
final class CountChecks {
    private CountChecks() {}

    static void run(Report report) {
        report.check("barrier: holds until it is removed", CountChecks::barrier);
        report.check("double barrier: all enter together and leave together", CountChecks::doubleBarrier);
        report.check("shared count: others are told, a stale version is refused", CountChecks::sharedCount);
        report.check("atomic long: every increment counts once", CountChecks::atomicLong);
        report.check("simple queue: first in, first out", CountChecks::simpleQueue);
        report.check("queue: each item is consumed once, by one of two", CountChecks::queue);
        report.check("priority queue: the lower number first", CountChecks::priorityQueue);
        report.check("delay queue: nothing before its time", CountChecks::delayQueue);
    }

    private static void barrier(Room room) throws Exception {
        DistributedBarrier sets = new DistributedBarrier(room.client(), room.path);
        DistributedBarrier waits = new DistributedBarrier(room.client(), room.path);
        sets.setBarrier();
        Room.require(!waits.waitOnBarrier(Room.REFUSED_MS, TimeUnit.MILLISECONDS), "open while it was set");
        Future<Boolean> open = room.start(() -> waits.waitOnBarrier(Room.PATIENCE_S, TimeUnit.SECONDS));
        sets.removeBarrier();
        Room.require(Room.get(open), "closed after its removal");
    }

    private static void doubleBarrier(Room room) throws Exception {
        int members = 3;
        CuratorFramework[] clients = room.clients(members);
        AtomicInteger entering = new AtomicInteger();
        AtomicInteger leaving = new AtomicInteger();
        room.together(members, i -> {
            DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(clients[i], room.path, members);
            TimeUnit.MILLISECONDS.sleep(50L * i);
            entering.incrementAndGet();
            Room.require(barrier.enter(Room.PATIENCE_S, TimeUnit.SECONDS), "not entered");
            Room.equal(entering.get(), members, "the number of those who had come when one entered");
            TimeUnit.MILLISECONDS.sleep(50L * i);
            leaving.incrementAndGet();
            Room.require(barrier.leave(Room.PATIENCE_S, TimeUnit.SECONDS), "not left");
            Room.equal(leaving.get(), members, "the number of those ready when one left");
        });
    }

    private static void sharedCount(Room room) throws Exception {
        SharedCount writes = room.closing(new SharedCount(room.client(), room.path, 7));
        SharedCount reads = room.closing(new SharedCount(room.client(), room.path, 7));
        Queue<Integer> told = new ConcurrentLinkedQueue<>();
        reads.addListener(new SharedCountListener() {
            @Override
            public void countHasChanged(SharedCountReader count, int now) {
                told.add(now);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        });
        writes.start();
        reads.start();
        VersionedValue<Integer> old = reads.getVersionedValue();
        Room.equal(old.getValue(), 7, "the first count");
        writes.setCount(8);
        Room.eventually("the other is told", () -> told.contains(8) && reads.getCount() == 8);
        Room.require(!reads.trySetCount(old, 9), "a count of a stale version was taken");
        Room.require(reads.trySetCount(reads.getVersionedValue(), 10), "a count of the present version was refused");
        Room.eventually("the first one sees it", () -> writes.getCount() == 10);
    }

    private static void atomicLong(Room room) throws Exception {
        int count = 4;
        int each = 20;
        CuratorFramework[] clients = room.clients(count);
        Set<Long> results = ConcurrentHashMap.newKeySet();
        room.together(count, i -> {
            RetryNTimes again = new RetryNTimes(3, 1);
            DistributedAtomicLong number = new DistributedAtomicLong(clients[i], room.path + "/number", again,
                PromotedToLock.builder().lockPath(room.path + "/lock").retryPolicy(again)
                    .timeout(Room.PATIENCE_S, TimeUnit.SECONDS).build());
            for (int round = 0; round < each; round++) {
                AtomicValue<Long> value;
                do {
                    // Not every attempt wins, not even under the lock: others still try without it.
                    value = number.increment();
                } while (!value.succeeded());
                Room.equal(value.postValue(), value.preValue() + 1, "the number after an increment");
                Room.require(results.add(value.postValue()), value.postValue() + " was given out twice");
            }
        });
        DistributedAtomicLong number =
            new DistributedAtomicLong(clients[0], room.path + "/number", new RetryNTimes(0, 0));
        clients[0].sync().forPath(room.path + "/number");
        Room.equal(number.get().postValue(), (long) count * each, "the number");
        Room.require(!number.compareAndSet(-1L, 1L).succeeded(), "compared unequal, and set");
        Room.require(number.compareAndSet((long) count * each, -5L).succeeded(), "compared equal, and not set");
        Room.equal(number.get().postValue(), -5L, "the number");
    }

    private static void simpleQueue(Room room) throws Exception {
        SimpleDistributedQueue in = new SimpleDistributedQueue(room.client(), room.path);
        SimpleDistributedQueue out = new SimpleDistributedQueue(room.client(), room.path);
        Future<byte[]> first = room.start(() -> out.poll(Room.PATIENCE_S, TimeUnit.SECONDS));
        in.offer(Room.bytes("first"));
        Room.equal(Room.text(Room.get(first)), "first", "what the waiting consumer got");
        for (int i = 0; i < 20; i++) {
            Room.require(in.offer(Room.bytes("item " + i)), "not taken");
        }
        Room.equal(Room.text(in.peek()), "item 0", "the head");
        for (int i = 0; i < 20; i++) {
            Room.equal(Room.text(out.take()), "item " + i, "the item");
        }
        Room.equal(out.poll(Room.REFUSED_MS, TimeUnit.MILLISECONDS), null, "the item of an empty queue");
        Room.refused(NoSuchElementException.class, in::remove);
    }

    private static QueueConsumer<String> into(Queue<String> items) {
        return new QueueConsumer<>() {
            @Override
            public void consumeMessage(String item) {
                items.add(item);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        };
    }

    private static final class Text implements QueueSerializer<String> {
        @Override
        public byte[] serialize(String item) {
            return Room.bytes(item);
        }

        @Override
        public String deserialize(byte[] data) {
            return Room.text(data);
        }
    }

    private static QueueBuilder<String> builder(Room room, QueueConsumer<String> consumer) {
        return QueueBuilder.builder(room.client(), consumer, new Text(), room.path + "/queue");
    }

    private static void queue(Room room) throws Exception {
        int items = 60;
        Queue<String> consumed = new ConcurrentLinkedQueue<>();
        DistributedQueue<String> producer = room.closing(builder(room, null).buildQueue());
        producer.start();
        for (int i = 0; i < 2; i++) {
            room.closing(builder(room, into(consumed)).lockPath(room.path + "/lock").buildQueue()).start();
        }
        Set<String> expected = new HashSet<>();
        for (int i = 0; i < items; i++) {
            expected.add("item " + i);
            producer.put("item " + i);
        }
        Room.require(producer.flushPuts(Room.PATIENCE_S, TimeUnit.SECONDS), "puts were not acknowledged");
        Room.eventually("every item is consumed", () -> consumed.size() >= items);
        Room.equal(consumed.size(), items, "the number of items consumed");
        Room.equal(new HashSet<>(consumed), expected, "what was consumed");
    }

    private static void priorityQueue(Room room) throws Exception {
        DistributedPriorityQueue<String> producer = room.closing(builder(room, null).buildPriorityQueue(0));
        producer.start();
        for (int priority : new int[] {5, -3, 40, 0, 1}) {
            producer.put("priority " + priority, priority);
        }
        Room.require(producer.flushPuts(Room.PATIENCE_S, TimeUnit.SECONDS), "puts were not acknowledged");
        Queue<String> consumed = new ConcurrentLinkedQueue<>();
        // With an executor of one thread, items are handed over in the order of the queue.
        room.closing(builder(room, into(consumed)).executor(Runnable::run).buildPriorityQueue(0)).start();
        List<String> expected =
            Arrays.asList("priority -3", "priority 0", "priority 1", "priority 5", "priority 40");
        Room.eventually("every item is consumed", () -> consumed.size() == expected.size());
        Room.equal(new ArrayList<>(consumed), expected, "the order");
    }

    private static void delayQueue(Room room) throws Exception {
        Queue<String> consumed = new ConcurrentLinkedQueue<>();
        DistributedDelayQueue<String> queue = room.closing(builder(room, into(consumed)).buildDelayQueue());
        queue.start();
        long now = System.currentTimeMillis();
        queue.put("later", now + 600);
        queue.put("sooner", now + 100);
        Room.eventually("the first is consumed", () -> !consumed.isEmpty());
        Room.require(System.currentTimeMillis() >= now + 100, "consumed before its time");
        Room.eventually("both are consumed", () -> consumed.size() == 2);
        Room.require(System.currentTimeMillis() >= now + 600, "consumed before its time");
        Room.equal(new ArrayList<>(consumed), Arrays.asList("sooner", "later"), "the order");
    }
}
