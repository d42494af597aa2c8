import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One line for each check, and whether one of them failed. */
final class Report {
    private static final int CHECK_TIMEOUT_S = 40;
    /** Checks mostly wait, each for its own nodes. */
    private static final int AT_ONCE = 4;

    /** What a check does; it throws when a promise is broken. */
    interface Check {
        void run(Room room) throws Exception;
    }

    private final String connect;
    private final String base;
    private final String only;
    private final ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE);
    private final List<Future<?>> checks = new ArrayList<>();
    private boolean failed;

    /** Checks work below the path `base` of the servers `connect`; those whose name lacks `only` are left out. */
    Report(String connect, String base, String only) {
        this.connect = connect;
        this.base = base;
        this.only = only;
    }

    /** Has a check run, in a room of its own. */
    void check(String name, Check body) {
        if (name.contains(only)) {
            String path = base + "/" + (checks.size() + 1);
            checks.add(pool.submit(() -> run(name, body, new Room(connect, path))));
        }
    }

    /** Waits for all checks; true when every one of them held. */
    boolean finish() throws Exception {
        for (Future<?> check : checks) {
            check.get();
        }
        pool.shutdown();
        return !failed;
    }

    private void run(String name, Check body, Room room) {
        long began = System.nanoTime();
        FutureTask<Void> task = new FutureTask<>(() -> {
            body.run(room);
            return null;
        });
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        String why = null;
        try {
            task.get(CHECK_TIMEOUT_S, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            why = reason(e.getCause());
        } catch (TimeoutException e) {
            why = "not done within " + CHECK_TIMEOUT_S + " s, at " + thread.getStackTrace()[0];
            thread.interrupt();
        } catch (InterruptedException e) {
            why = "interrupted";
        }
        room.close();
        line(name, why, (System.nanoTime() - began) / 1_000_000 + " ms");
    }

    /** Says how a check ended; `why` is null when it held, and then `remark` stands there. */
    synchronized void line(String name, String why, String remark) {
        failed |= why != null;
        System.out.println((why == null ? "ok      " : "failed  ") + name
            + (why == null ? " (" + remark + ")" : ": " + why));
        System.out.flush();
    }

    /** What was thrown, and the line of ours that it came through. */
    static String reason(Throwable thrown) {
        if (thrown instanceof Room.Broken) {
            return thrown.getMessage();
        }
        for (StackTraceElement frame : thrown.getStackTrace()) {
            if (frame.getClassName().matches("[A-Za-z$]+")) {
                return thrown + " at " + frame;
            }
        }
        return thrown.toString();
    }
}
