import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;

/** Leader latches and leader selectors. */
final class ElectionChecks {
    private static final int CLIENTS = 3;

    private ElectionChecks() {}

    static void run(Report report) {
        report.check("leader latch: one leader, and everybody names the same", ElectionChecks::latch);
        report.check("leader latch: the next leads when the leader's session ends", ElectionChecks::latchOfSession);
        report.check("leader selector: each leads in turn, never two at once", ElectionChecks::selector);
    }

    private static List<LeaderLatch> latches(Room room, CuratorFramework[] clients) throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        for (int i = 0; i < clients.length; i++) {
            LeaderLatch latch = room.closing(new LeaderLatch(clients[i], room.path, "latch " + i));
            latch.start();
            latches.add(latch);
        }
        return latches;
    }

    private static int leader(List<LeaderLatch> latches) throws Exception {
        Room.eventually("somebody leads", () -> latches.stream().anyMatch(LeaderLatch::hasLeadership));
        Room.equal(latches.stream().filter(LeaderLatch::hasLeadership).count(), 1L, "the number of leaders");
        for (int i = 0; i < latches.size(); i++) {
            if (latches.get(i).hasLeadership()) {
                return i;
            }
        }
        throw new Room.Broken("a leader resigned by itself");
    }

    private static void latch(Room room) throws Exception {
        List<LeaderLatch> latches = latches(room, room.clients(CLIENTS));
        while (!latches.isEmpty()) {
            int at = leader(latches);
            LeaderLatch leads = latches.get(at);
            int left = latches.size();
            for (LeaderLatch latch : latches) {
                Room.eventually("all have joined", () -> latch.getParticipants().size() == left);
                Room.equal(latch.getLeader().getId(), leads.getId(), "the leader seen by " + latch.getId());
            }
            AtomicInteger resigned = new AtomicInteger();
            leads.addListener(new LeaderLatchListener() {
                @Override
                public void isLeader() {}

                @Override
                public void notLeader() {
                    resigned.incrementAndGet();
                }
            });
            leads.close(LeaderLatch.CloseMode.NOTIFY_LEADER);
            Room.eventually("the leader hears that it leads no more", () -> resigned.get() == 1);
            latches.remove(at);
        }
    }

    private static void latchOfSession(Room room) throws Exception {
        CuratorFramework[] clients = room.clients(CLIENTS);
        List<LeaderLatch> latches = latches(room, clients);
        int at = leader(latches);
        clients[at].close();
        latches.remove(at);
        leader(latches);
    }

    private static void selector(Room room) throws Exception {
        CuratorFramework[] clients = room.clients(CLIENTS);
        Fence fence = new Fence(clients[0], room.path + "/fence");
        AtomicIntegerArray led = new AtomicIntegerArray(CLIENTS);
        List<LeaderSelector> selectors = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            int number = i;
            LeaderSelector selector = room.closing(new LeaderSelector(clients[i], room.path + "/leader",
                new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework client) throws Exception {
                        fence.pass(client, number + "/" + led.incrementAndGet(number));
                        TimeUnit.MILLISECONDS.sleep(5);
                    }
                }));
            selector.setId("selector " + i);
            selector.autoRequeue();
            selectors.add(selector);
        }
        selectors.forEach(LeaderSelector::start);
        Room.eventually("each leads three times", () -> {
            for (int i = 0; i < CLIENTS; i++) {
                if (led.get(i) < 3) {
                    return false;
                }
            }
            return true;
        });
        Room.require(selectors.get(0).getParticipants().size() <= CLIENTS, "more participants than selectors");
        selectors.forEach(LeaderSelector::close);
        Room.equal(fence.violations(), 0L, "the number of leaderships beside another");
    }
}
