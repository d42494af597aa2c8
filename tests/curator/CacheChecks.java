import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCacheEvent;
import org.apache.curator.framework.recipes.cache.TreeCache;

/** Every cache of Curator ends with the contents of the tree, whatever happened to the tree. */
final class CacheChecks {
    private static final int CHANGES = 150;

    private CacheChecks() {}

    @SuppressWarnings("deprecation")
    static void run(Report report) {
        report.check("node cache: follows its node", CacheChecks::nodeCache);
        report.check("path children cache: equal to the children", CacheChecks::pathChildrenCache);
        report.check("tree cache: equal to the tree", CacheChecks::treeCache);
        report.check("curator cache: equal to the tree", CacheChecks::curatorCache);
        report.check("curator cache: each change is told", CacheChecks::curatorCacheEvents);
    }

    static TreeMap<String, String> contents(CuratorCache cache) {
        TreeMap<String, String> found = new TreeMap<>();
        cache.stream().forEach(node -> put(found, node));
        return found;
    }

    @SuppressWarnings("deprecation")
    static TreeMap<String, String> contents(TreeCache cache) {
        TreeMap<String, String> found = new TreeMap<>();
        try {
            cache.iterator().forEachRemaining(node -> put(found, node));
        } catch (NoSuchElementException e) {
            // Curator's iterator, when a node goes while it stands there: what was found is asked for again.
            found.clear();
        }
        return found;
    }

    @SuppressWarnings("deprecation")
    static TreeMap<String, String> contents(PathChildrenCache cache) {
        TreeMap<String, String> found = new TreeMap<>();
        cache.getCurrentData().forEach(node -> put(found, node));
        return found;
    }

    private static void put(TreeMap<String, String> found, ChildData node) {
        found.put(node.getPath(), Room.described(node.getData(), node.getStat()));
    }

    /** The part of a tree that are children of `root`. */
    static TreeMap<String, String> children(TreeMap<String, String> tree, String root) {
        TreeMap<String, String> found = new TreeMap<>(tree);
        found.keySet().removeIf(path -> path.equals(root) || path.indexOf('/', root.length() + 1) > 0);
        return found;
    }

    /** The contents of `cache` come to equal `tree`, while nobody changes the tree. */
    static void settles(String cache, Callable<TreeMap<String, String>> contents, TreeMap<String, String> tree)
        throws Exception {
        Room.eventually(cache + " is equal to the tree", () -> contents.call().equals(tree), Room.PATIENCE_S, () -> {
            Map<String, String> missing = new TreeMap<>(tree);
            Map<String, String> wrong = contents.call();
            missing.entrySet().removeAll(contents.call().entrySet());
            wrong.entrySet().removeAll(tree.entrySet());
            return "; it has " + wrong + " instead of " + missing;
        });
    }

    private static TreeMap<String, String> work(CuratorFramework client, String root, long seed) throws Exception {
        Workload workload = new Workload(root, seed);
        for (int i = 0; i < CHANGES; i++) {
            workload.change(client);
        }
        return Room.tree(client, root);
    }

    private static String rootWithSomething(Room room, CuratorFramework client) throws Exception {
        client.create().creatingParentsIfNeeded().forPath(room.path + "/root/n0/m0", Room.bytes("early"));
        return room.path + "/root";
    }

    @SuppressWarnings("deprecation")
    private static void nodeCache(Room room) throws Exception {
        CuratorFramework other = room.client();
        NodeCache cache = room.closing(new NodeCache(room.client(), room.path));
        Queue<String> seen = new ConcurrentLinkedQueue<>();
        cache.getListenable().addListener(() -> {
            ChildData now = cache.getCurrentData();
            seen.add(now == null ? "gone" : Room.text(now.getData()));
        });
        cache.start(true);
        Room.equal(cache.getCurrentData(), null, "a node that is not there");
        other.create().creatingParentsIfNeeded().forPath(room.path, Room.bytes("one"));
        Room.eventually("its first data", () -> seen.contains("one"));
        other.setData().forPath(room.path, Room.bytes("two"));
        Room.eventually("its second data", () -> seen.contains("two"));
        other.delete().forPath(room.path);
        Room.eventually("its end", () -> seen.contains("gone") && cache.getCurrentData() == null);
    }

    @SuppressWarnings("deprecation")
    private static void pathChildrenCache(Room room) throws Exception {
        CuratorFramework other = room.client();
        String root = rootWithSomething(room, other);
        PathChildrenCache cache = room.closing(new PathChildrenCache(room.client(), root, true));
        Queue<PathChildrenCacheEvent.Type> seen = new ConcurrentLinkedQueue<>();
        cache.getListenable().addListener((client, event) -> seen.add(event.getType()));
        cache.start(PathChildrenCache.StartMode.POST_INITIALIZED_EVENT);
        Room.eventually("it has its first contents", () -> seen.contains(PathChildrenCacheEvent.Type.INITIALIZED));
        Room.equal(contents(cache).keySet().toString(), "[" + root + "/n0]", "the first contents");
        TreeMap<String, String> tree = work(other, root, 1);
        settles("it", () -> contents(cache), children(tree, root));
    }

    @SuppressWarnings("deprecation")
    private static void treeCache(Room room) throws Exception {
        CuratorFramework other = room.client();
        String root = rootWithSomething(room, other);
        TreeCache cache = room.closing(TreeCache.newBuilder(room.client(), root).build());
        cache.start();
        settles("it", () -> contents(cache), Room.tree(other, root));
        TreeMap<String, String> tree = work(other, root, 2);
        settles("it", () -> contents(cache), tree);
    }

    private static void curatorCache(Room room) throws Exception {
        CuratorFramework other = room.client();
        String root = rootWithSomething(room, other);
        CuratorCache cache = room.closing(CuratorCache.build(room.client(), root));
        cache.start();
        settles("it", () -> contents(cache), Room.tree(other, root));
        TreeMap<String, String> tree = work(other, root, 3);
        settles("it", () -> contents(cache), tree);
    }

    private static void curatorCacheEvents(Room room) throws Exception {
        CuratorFramework other = room.client();
        CuratorCache cache = room.closing(CuratorCache.build(room.client(), room.path));
        Queue<String> seen = new ConcurrentLinkedQueue<>();
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forInitialized(() -> seen.add("initialized"))
            .forCreates(node -> seen.add("created " + node.getPath()))
            .forChanges((before, now) -> seen.add(Room.text(before.getData()) + " to " + Room.text(now.getData())))
            .forDeletes(node -> seen.add("deleted " + node.getPath()))
            .build());
        cache.start();
        Room.eventually("it has its first contents", () -> seen.contains("initialized"));
        String path = room.path + "/node";
        other.create().creatingParentsIfNeeded().forPath(path, Room.bytes("one"));
        Room.eventually("the create is told", () -> seen.contains("created " + path));
        other.setData().forPath(path, Room.bytes("two"));
        Room.eventually("the change is told", () -> seen.contains("one to two"));
        other.delete().forPath(path);
        Room.eventually("the delete is told", () -> seen.contains("deleted " + path));
    }
}
