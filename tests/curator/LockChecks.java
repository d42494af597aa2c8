import java.util.Arrays;
import java.util.Collection;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;

/** Mutexes, semaphores, read-write locks, and locks of several locks. */
final class LockChecks {
    private static final int CLIENTS = 4;
    private static final int ROUNDS = 15;

    private LockChecks() {}

    static void run(Report report) {
        report.check("mutex: re-entrant, free after as many releases", LockChecks::reentrant);
        report.check("mutex: contended, never held twice", room -> contended(room, InterProcessMutex::new));
        report.check("mutex: passes on when the holder's session ends", LockChecks::heldBySession);
        report.check("mutex: its holder is asked to give it back", LockChecks::revoked);
        report.check("the fence itself: finds a lock that does not lock", LockChecks::unlocked);
        report.check("semaphore mutex: contended, never held twice",
            room -> contended(room, InterProcessSemaphoreMutex::new));
        report.check("semaphore: grants as many leases as there are", LockChecks::semaphore);
        report.check("semaphore: contended, never more leases than there are", LockChecks::semaphoreContended);
        report.check("read-write lock: readers share, a writer is alone", LockChecks::readWrite);
        report.check("read-write lock: contended, no reader beside a writer", LockChecks::readWriteContended);
        report.check("multi lock: all or none", LockChecks::multiLock);
    }

    private interface Maker {
        InterProcessLock make(CuratorFramework client, String path);
    }

    private static boolean tries(InterProcessLock lock) throws Exception {
        return lock.acquire(Room.REFUSED_MS, TimeUnit.MILLISECONDS);
    }

    private static boolean waits(InterProcessLock lock) throws Exception {
        return lock.acquire(Room.PATIENCE_S, TimeUnit.SECONDS);
    }

    private static void reentrant(Room room) throws Exception {
        InterProcessMutex first = new InterProcessMutex(room.client(), room.path);
        InterProcessMutex second = new InterProcessMutex(room.client(), room.path);
        Room.require(waits(first) && waits(first), "a free lock was not granted twice to one thread");
        Room.equal(first.getParticipantNodes().size(), 1, "the number of lock nodes");
        Room.require(!tries(second), "granted while held");
        first.release();
        Room.require(!tries(second), "granted after one release of two");
        first.release();
        Room.require(waits(second), "not granted after the last release");
        second.release();
        Room.refused(IllegalMonitorStateException.class, () -> {
            second.release();
            return "a release";
        });
    }

    private static void contended(Room room, Maker maker) throws Exception {
        CuratorFramework[] clients = room.clients(CLIENTS);
        Fence fence = new Fence(clients[0], room.path + "/fence");
        room.together(CLIENTS, i -> {
            InterProcessLock lock = maker.make(clients[i], room.path + "/lock");
            for (int round = 0; round < ROUNDS; round++) {
                Room.require(waits(lock), "a lock that others release was not granted");
                fence.pass(clients[i], i + "/" + round);
                lock.release();
            }
        });
        Room.equal(fence.passed(), (long) CLIENTS * ROUNDS, "the number of passages");
        fence.require(clients[0]);
    }

    /** What the fence must reject: everybody passes whenever he likes. */
    private static void unlocked(Room room) throws Exception {
        CuratorFramework[] clients = room.clients(CLIENTS);
        Fence fence = new Fence(clients[0], room.path + "/fence");
        CyclicBarrier start = new CyclicBarrier(CLIENTS);
        room.together(CLIENTS, i -> {
            for (int round = 0; round < ROUNDS; round++) {
                start.await(Room.PATIENCE_S, TimeUnit.SECONDS);
                fence.pass(clients[i], i + "/" + round);
            }
        });
        Room.require(fence.complaint(clients[0]) != null, "nothing found among " + fence.passed() + " passages");
    }

    private static void heldBySession(Room room) throws Exception {
        CuratorFramework holder = room.client();
        InterProcessMutex held = new InterProcessMutex(holder, room.path);
        InterProcessMutex wanted = new InterProcessMutex(room.client(), room.path);
        Room.require(waits(held), "a free lock was not granted");
        Future<Boolean> granted = room.start(() -> waits(wanted));
        Room.eventually("both stand in line", () -> wanted.getParticipantNodes().size() == 2);
        Room.require(!granted.isDone(), "granted while held");
        holder.close();
        Room.require(Room.get(granted), "not granted after the holder's session ended");
    }

    private static void revoked(Room room) throws Exception {
        CuratorFramework other = room.client();
        InterProcessMutex lock = new InterProcessMutex(room.client(), room.path);
        CountDownLatch asked = new CountDownLatch(1);
        lock.makeRevocable(forLock -> asked.countDown());
        Room.require(waits(lock), "a free lock was not granted");
        Revoker.attemptRevoke(other, lock.getParticipantNodes().iterator().next());
        Room.require(asked.await(Room.PATIENCE_S, TimeUnit.SECONDS), "the holder did not hear of it");
        lock.release();
    }

    private static void semaphore(Room room) throws Exception {
        InterProcessSemaphoreV2 first = new InterProcessSemaphoreV2(room.client(), room.path, 3);
        InterProcessSemaphoreV2 second = new InterProcessSemaphoreV2(room.client(), room.path, 3);
        Collection<Lease> all = first.acquire(3, Room.PATIENCE_S, TimeUnit.SECONDS);
        Room.require(all != null && all.size() == 3, "three free leases were not granted");
        Room.require(second.acquire(Room.REFUSED_MS, TimeUnit.MILLISECONDS) == null, "a fourth lease was granted");
        first.returnLease(all.iterator().next());
        Lease returned = second.acquire(Room.PATIENCE_S, TimeUnit.SECONDS);
        Room.require(returned != null, "a returned lease was not granted");
    }

    private static void semaphoreContended(Room room) throws Exception {
        CuratorFramework[] clients = room.clients(CLIENTS);
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        room.together(CLIENTS, i -> {
            InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(clients[i], room.path, 2);
            for (int round = 0; round < ROUNDS; round++) {
                Lease lease = semaphore.acquire(Room.PATIENCE_S, TimeUnit.SECONDS);
                Room.require(lease != null, "a lease that others return was not granted");
                most.accumulateAndGet(inside.incrementAndGet(), Math::max);
                clients[i].checkExists().forPath(room.path);
                inside.decrementAndGet();
                semaphore.returnLease(lease);
            }
        });
        Room.require(most.get() <= 2, most + " leases of 2 were held at once");
    }

    private static void readWrite(Room room) throws Exception {
        CuratorFramework client = room.client();
        InterProcessReadWriteLock first = new InterProcessReadWriteLock(client, room.path);
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(room.client(), room.path);
        Room.require(waits(first.readLock()) && waits(second.readLock()), "two readers did not share");
        Room.require(!tries(second.writeLock()), "a writer beside readers");
        first.readLock().release();
        second.readLock().release();
        Room.require(waits(first.writeLock()), "a free write lock was not granted");
        Room.require(!tries(second.readLock()), "a reader beside a writer");
        Room.require(waits(first.readLock()), "the writer may read as well");
        first.writeLock().release();
        Room.require(waits(second.readLock()), "no reader beside a reader that was a writer");
        first.readLock().release();
        second.readLock().release();
    }

    private static void readWriteContended(Room room) throws Exception {
        CuratorFramework[] clients = room.clients(CLIENTS);
        Fence fence = new Fence(clients[0], room.path + "/fence");
        AtomicInteger readers = new AtomicInteger();
        AtomicInteger mixed = new AtomicInteger();
        room.together(CLIENTS, i -> {
            InterProcessReadWriteLock lock = new InterProcessReadWriteLock(clients[i], room.path + "/lock");
            for (int round = 0; round < ROUNDS; round++) {
                boolean writes = (i + round) % 2 == 0;
                Room.require(waits(writes ? lock.writeLock() : lock.readLock()), "a lock that others release");
                if (writes) {
                    fence.pass(clients[i], i + "/" + round);
                    mixed.addAndGet(readers.get());
                    lock.writeLock().release();
                } else {
                    readers.incrementAndGet();
                    clients[i].getData().forPath(room.path + "/fence");
                    readers.decrementAndGet();
                    lock.readLock().release();
                }
            }
        });
        Room.equal(mixed.get(), 0, "the number of readers seen by writers");
        fence.require(clients[0]);
    }

    private static void multiLock(Room room) throws Exception {
        CuratorFramework client = room.client();
        CuratorFramework other = room.client();
        InterProcessMultiLock both =
            new InterProcessMultiLock(client, Arrays.asList(room.path + "/one", room.path + "/two"));
        InterProcessMutex one = new InterProcessMutex(other, room.path + "/one");
        InterProcessMutex two = new InterProcessMutex(other, room.path + "/two");
        Room.require(waits(two), "a free lock was not granted");
        Room.require(!tries(both), "granted while one of its locks was held");
        Room.require(waits(one), "an attempt that failed keeps a lock");
        one.release();
        two.release();
        Room.require(waits(both), "not granted while both locks were free");
        Room.require(!tries(one) && !tries(two), "one of its locks was granted to another");
        both.release();
        Room.require(waits(one) && waits(two), "its locks are not free after its release");
    }
}
