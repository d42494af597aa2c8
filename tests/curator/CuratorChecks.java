import java.util.UUID;

/**
 * Runs Curator's recipes against a server and checks what they promise.
 *
 * <p>Exit status: 0 when every check held, 1 when one failed, 2 when the arguments are wrong.
 */
public final class CuratorChecks {
    private static final String USAGE =
        "usage: CuratorChecks [--only TEXT] [--reap SECONDS] [--side-by-side] [--hold SECONDS] HOST:PORT,...\n"
        + "  --only TEXT     only the checks whose name contains this\n"
        + "  --reap SECONDS  the servers remove empty containers and expired TTL nodes within this time; without it\n"
        + "                  that is not checked\n"
        + "  --side-by-side  one-shot watches leave persistent ones at the same node alone (ZooKeeper's since 3.9)\n"
        + "  --hold SECONDS  instead of the checks, keep recipes running for so long, and check what became of them;\n"
        + "                  says \"holding\" when they run";

    private String only = "";
    private int reapSeconds;
    private boolean sideBySide;
    private int holdSeconds;
    private String connect;

    private CuratorChecks(String[] arguments) {
        for (int i = 0; i < arguments.length; i++) {
            switch (arguments[i]) {
                case "--only":
                    only = arguments[++i];
                    break;
                case "--reap":
                    reapSeconds = Integer.parseInt(arguments[++i]);
                    break;
                case "--side-by-side":
                    sideBySide = true;
                    break;
                case "--hold":
                    holdSeconds = Integer.parseInt(arguments[++i]);
                    break;
                default:
                    require(connect == null && !arguments[i].startsWith("-"));
                    connect = arguments[i];
            }
        }
        require(connect != null);
    }

    private static void require(boolean understood) {
        if (!understood) {
            throw new IllegalArgumentException();
        }
    }

    private boolean run() throws Exception {
        // Below a fresh path, because a server may be used for several runs.
        Report report = new Report(connect, "/curator-" + UUID.randomUUID(), only);
        if (holdSeconds > 0) {
            Hold.run(report, connect, holdSeconds);
        } else {
            LockChecks.run(report);
            ElectionChecks.run(report);
            CountChecks.run(report);
            NodeChecks.run(report, reapSeconds, sideBySide);
            CacheChecks.run(report);
            FrameworkChecks.run(report);
            DiscoveryChecks.run(report);
        }
        return report.finish();
    }

    public static void main(String[] arguments) throws Exception {
        CuratorChecks checks;
        try {
            checks = new CuratorChecks(arguments);
        } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException e) {
            System.err.println(USAGE);
            System.exit(2);
            return;
        }
        boolean held = checks.run();
        System.out.println(held ? "all checks held" : "a check failed");
        System.out.flush();
        // Recipes have threads that do not end with their client.
        System.exit(held ? 0 : 1);
    }
}
