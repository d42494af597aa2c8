import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.ServiceType;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;

/** Service discovery: registrations, queries, caches and providers. */
final class DiscoveryChecks {
    private static final String SERVICE = "greeter";

    private DiscoveryChecks() {}

    static void run(Report report) {
        report.check("discovery: what is registered is found, until it is not", DiscoveryChecks::registration);
        report.check("discovery: a service cache and a provider follow the instances", DiscoveryChecks::following);
        report.check("discovery: instances end with their session", DiscoveryChecks::sessions);
    }

    static ServiceDiscovery<String> discovery(Room room, CuratorFramework client) throws Exception {
        ServiceDiscovery<String> made =
            room.closing(ServiceDiscoveryBuilder.builder(String.class).client(client).basePath(room.path).build());
        made.start();
        return made;
    }

    static ServiceInstance<String> instance(String id, String payload) throws Exception {
        return ServiceInstance.<String>builder().name(SERVICE).id(id).address("host-" + id).port(1000)
            .payload(payload).serviceType(ServiceType.DYNAMIC).build();
    }

    static ServiceCache<String> cache(Room room, ServiceDiscovery<String> discovery) throws Exception {
        ServiceCache<String> cache = room.closing(discovery.serviceCacheBuilder().name(SERVICE).build());
        cache.start();
        return cache;
    }

    static Set<String> ids(Iterable<ServiceInstance<String>> instances) {
        Set<String> found = new TreeSet<>();
        instances.forEach(instance -> found.add(instance.getId() + "=" + instance.getPayload()));
        return found;
    }

    private static void registration(Room room) throws Exception {
        CuratorFramework reader = room.client();
        ServiceDiscovery<String> offers = discovery(room, room.client());
        ServiceDiscovery<String> asks = discovery(room, reader);
        ServiceInstance<String> one = instance("one", "1");
        offers.registerService(one);
        offers.registerService(instance("two", "2"));
        reader.sync().forPath(room.path);
        Room.equal(new HashSet<>(asks.queryForNames()), Collections.singleton(SERVICE), "the names");
        Room.equal(ids(asks.queryForInstances(SERVICE)), new TreeSet<>(Arrays.asList("one=1", "two=2")),
            "the instances");
        Room.equal(asks.queryForInstance(SERVICE, "one").getAddress(), "host-one", "the address");
        offers.updateService(instance("two", "changed"));
        reader.sync().forPath(room.path);
        Room.equal(asks.queryForInstance(SERVICE, "two").getPayload(), "changed", "the payload");
        offers.unregisterService(one);
        reader.sync().forPath(room.path);
        Room.equal(ids(asks.queryForInstances(SERVICE)), Collections.singleton("two=changed"), "the instances");
        Room.equal(asks.queryForInstance(SERVICE, "one"), null, "an instance that is gone");
    }

    private static void following(Room room) throws Exception {
        ServiceDiscovery<String> offers = discovery(room, room.client());
        ServiceDiscovery<String> asks = discovery(room, room.client());
        ServiceCache<String> cache = cache(room, asks);
        ServiceProvider<String> provider = room.closing(asks.serviceProviderBuilder().serviceName(SERVICE)
            .providerStrategy(new RoundRobinStrategy<>()).build());
        provider.start();
        Room.equal(provider.getInstance(), null, "an instance of nothing");
        offers.registerService(instance("one", "1"));
        offers.registerService(instance("two", "2"));
        Room.eventually("the cache has both", () -> cache.getInstances().size() == 2);
        Room.eventually("the provider has both", () -> provider.getAllInstances().size() == 2);
        Room.require(!provider.getInstance().getId().equals(provider.getInstance().getId()), "no round robin");
        offers.updateService(instance("one", "changed"));
        Set<String> expected = new TreeSet<>(Arrays.asList("one=changed", "two=2"));
        Room.eventually("the cache has the change", () -> ids(cache.getInstances()).equals(expected));
        offers.unregisterService(instance("two", "2"));
        Room.eventually("the cache has one", () -> ids(cache.getInstances()).equals(Set.of("one=changed")));
    }

    private static void sessions(Room room) throws Exception {
        CuratorFramework dies = room.client();
        discovery(room, dies).registerService(instance("dies", "1"));
        discovery(room, room.client()).registerService(instance("lives", "2"));
        ServiceCache<String> cache = cache(room, discovery(room, room.client()));
        Room.eventually("both are there", () -> cache.getInstances().size() == 2);
        // The client alone, not its discovery: nothing deletes the instance but the end of the session.
        dies.close();
        Room.eventually("one is left", () -> ids(cache.getInstances()).equals(Set.of("lives=2")));
    }
}
