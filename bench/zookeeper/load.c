/* A load on servers that speak ZooKeeper's protocol, by ZooKeeper's own C client: several connections, each with a
 * window of requests under way. One line of JSON says what it did; any reply that is not the expected one ends it with
 * status 1. bench/zookeeper.py compiles and runs it. */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

enum {
  kMaxServers = 16,
  kMaxConnections = 256,
  kPathBytes = 128,
  kNodesPerParent = 10000,
  kSessionMs = 30000,
  kPatienceSeconds = 60,
};

/* Latencies in buckets: 2^kSubBits of them for each power of two of nanoseconds, so a bucket is 3 % wide. */
enum { kSubBits = 5, kBuckets = 64 << kSubBits };

typedef enum { kSet, kCreate, kGet, kMix, kFill } Operation;
static const char* const kOperationNames[] = {"set", "create", "get", "mix", "fill"};

typedef struct {
  const char* hosts[kMaxServers];
  int host_count;
  int pids[kMaxServers]; /* the servers', for their CPU time */
  int pid_count;
  const char* root; /* every node is below it; it must not exist */
  Operation operation;
  int connections;
  int window; /* requests under way on each connection */
  double warmup_seconds;
  double seconds;
  long keys;  /* nodes that set, get and mix use */
  long count; /* nodes that fill makes */
  int value_bytes;
} Options;

typedef struct Connection Connection;

/* One of the requests under way on a connection. */
typedef struct {
  Connection* connection;
  uint64_t sent_ns;
  int writes;
} Request;

/* Everything here is used by the completion thread of its handle only, except by main before the first request and
 * after the last. */
struct Connection {
  zhandle_t* handle;
  int number;
  uint64_t random;
  long next;     /* number of the next node to create */
  long end;      /* the first number not to create */
  long written;  /* acknowledged in all, measured or not */
  long measured; /* acknowledged while measuring */
  int under_way;
  Request* requests;
  uint32_t* latencies;
};

typedef enum { kWarmingUp, kMeasuring, kStopping } Phase;

static Options options = {
    .operation = kGet, .connections = 8, .window = 64, .seconds = 3, .keys = 1000, .count = 1000000, .value_bytes = 256};
static Connection connections[kMaxConnections];
static char* value;
static _Atomic Phase phase = kWarmingUp;
static atomic_int idle_connections;
static atomic_int connected;

static void fail(const char* format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "load: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  /* Other threads may be inside the client library: nothing of it is torn down. */
  _exit(1);
}

static void check(int rc, const char* what, const char* path) {
  if (rc != ZOK) fail("%s %s: %s (%d)", what, path, zerror(rc), rc);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void pause_seconds(double seconds) {
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

/* Waits until `counter` is `goal`. */
static void await(atomic_int* counter, int goal, const char* what) {
  const uint64_t deadline = now_ns() + (uint64_t)kPatienceSeconds * 1000000000u;
  while (atomic_load(counter) < goal) {
    if (now_ns() > deadline) fail("not within %d s: %s", kPatienceSeconds, what);
    pause_seconds(0.0005);
  }
}

static int bucket_of(uint64_t ns) {
  if (ns < (1u << kSubBits)) return (int)ns;
  const int power = 63 - __builtin_clzll(ns);
  return ((power - kSubBits + 1) << kSubBits) + (int)((ns >> (power - kSubBits)) & ((1u << kSubBits) - 1));
}

/* The middle of a bucket, in nanoseconds. */
static double latency_of(int bucket) {
  const int group = bucket >> kSubBits;
  const uint64_t low = (uint64_t)bucket & ((1u << kSubBits) - 1);
  if (group == 0) return (double)low;
  return ((double)low + (double)(1u << kSubBits) + 0.5) * (double)(1ull << (group - 1));
}

static double percentile_us(double share) {
  uint64_t total = 0;
  uint64_t passed = 0;
  for (int c = 0; c < options.connections; c++)
    for (int b = 0; b < kBuckets; b++) total += connections[c].latencies[b];
  for (int b = 0; b < kBuckets; b++) {
    for (int c = 0; c < options.connections; c++) passed += connections[c].latencies[b];
    if (passed > 0 && (double)passed >= share * (double)total) return latency_of(b) / 1000;
  }
  return 0;
}

/* xorshift64*: the load is the same for every server. */
static uint64_t random_of(Connection* c) {
  c->random ^= c->random >> 12;
  c->random ^= c->random << 25;
  c->random ^= c->random >> 27;
  return c->random * 0x2545F4914F6CDD1Du;
}

static void key_path(char* path, long key) { snprintf(path, kPathBytes, "%s/key-%06ld", options.root, key); }

static void parent_path(char* path, long parent) { snprintf(path, kPathBytes, "%s/p%06ld", options.root, parent); }

/* Nodes to create: of fill, in common parents; otherwise each connection has a parent of its own. */
static void node_path(char* path, const Connection* c, long number) {
  const long parent = options.operation == kFill ? number / kNodesPerParent : c->number;
  snprintf(path, kPathBytes, "%s/p%06ld/n%09ld", options.root, parent, number);
}

static void send_next(Request* request);

/* A reply came, and it is the expected one. */
static void replied(Request* request) {
  Connection* c = request->connection;
  c->written += request->writes;
  if (atomic_load_explicit(&phase, memory_order_relaxed) == kMeasuring) {
    c->measured++;
    c->latencies[bucket_of(now_ns() - request->sent_ns)]++;
  }
  send_next(request);
}

static void set_replied(int rc, const struct Stat* stat, const void* data) {
  check(rc, "set", options.root);
  if (stat->dataLength != options.value_bytes || stat->version < 1) fail("set: the node's Stat is not as written");
  replied((Request*)(uintptr_t)data);
}

static void get_replied(int rc, const char* found, int length, const struct Stat* stat, const void* data) {
  check(rc, "get", options.root);
  if (length != options.value_bytes || stat->dataLength != length || memcmp(found, value, (size_t)length) != 0)
    fail("get: %d bytes that were not written", length);
  replied((Request*)(uintptr_t)data);
}

static void create_replied(int rc, const char* path, const void* data) {
  check(rc, "create", options.root);
  if (strncmp(path, options.root, strlen(options.root)) != 0) fail("create: the reply names %s", path);
  replied((Request*)(uintptr_t)data);
}

static int stops(const Connection* c) {
  const int done = options.operation == kFill && c->next == c->end;
  return done || atomic_load_explicit(&phase, memory_order_relaxed) == kStopping;
}

/* Sends a request in the place of `request`, or leaves the place empty when the run is over. */
static void send_next(Request* request) {
  Connection* c = request->connection;
  char path[kPathBytes];
  if (stops(c)) {
    if (--c->under_way == 0) atomic_fetch_add(&idle_connections, 1);
    return;
  }
  const int creates = options.operation == kCreate || options.operation == kFill;
  const int writes = creates || options.operation == kSet || (options.operation == kMix && random_of(c) % 10 >= 7);
  int rc;
  request->writes = writes;
  if (creates) {
    node_path(path, c, c->next++);
  } else {
    key_path(path, (long)(random_of(c) % (uint64_t)options.keys));
  }
  request->sent_ns = now_ns();
  if (creates) {
    rc = zoo_acreate(c->handle, path, value, options.value_bytes, &ZOO_OPEN_ACL_UNSAFE, 0, create_replied, request);
  } else if (writes) {
    rc = zoo_aset(c->handle, path, value, options.value_bytes, -1, set_replied, request);
  } else {
    rc = zoo_aget(c->handle, path, 0, get_replied, request);
  }
  check(rc, "sending", path);
}

/* The first requests are sent from the thread that sends all others, so that it alone uses the connection. */
static void begin(int rc, const struct Stat* stat, const void* data) {
  Connection* c = (Connection*)(uintptr_t)data;
  (void)stat;
  check(rc, "exists", "/");
  c->under_way = options.window;
  for (int i = 0; i < options.window; i++) {
    c->requests[i].connection = c;
    send_next(&c->requests[i]);
  }
}

static void watcher(zhandle_t* handle, int type, int state, const char* path, void* context) {
  (void)handle;
  (void)path;
  (void)context;
  if (type != ZOO_SESSION_EVENT) return;
  if (state == ZOO_CONNECTED_STATE) {
    atomic_fetch_add(&connected, 1);
  } else if (state != ZOO_CONNECTING_STATE && state != ZOO_ASSOCIATING_STATE && state != ZOO_NOTCONNECTED_STATE) {
    fail("the session ended, state %d", state);
  }
}

static void connect_all(void) {
  for (int i = 0; i < options.connections; i++) {
    Connection* c = &connections[i];
    c->number = i;
    c->random = 0x9E3779B97F4A7C15u * (uint64_t)(i + 1);
    c->end = INT64_MAX;
    c->requests = calloc((size_t)options.window, sizeof *c->requests);
    c->latencies = calloc(kBuckets, sizeof *c->latencies);
    c->handle = zookeeper_init(options.hosts[i % options.host_count], watcher, kSessionMs, NULL, NULL, 0);
    if (c->requests == NULL || c->latencies == NULL || c->handle == NULL) fail("no memory for connection %d", i);
    /* The library looks the addresses up each time it waits, unless told not to: that would be half of the load. */
    check(zoo_set_servers_resolution_delay(c->handle, -1), "resolution delay", options.hosts[i % options.host_count]);
  }
  await(&connected, options.connections, "every connection is made");
}

static void make_node(const char* path) {
  check(zoo_create(connections[0].handle, path, value, options.value_bytes, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0),
        "create", path);
}

/* Makes what the operation needs, and has every member know it. */
static void prepare(void) {
  char path[kPathBytes];
  make_node(options.root);
  if (options.operation == kFill) {
    const long parents = (options.count + kNodesPerParent - 1) / kNodesPerParent;
    for (long i = 0; i < parents; i++) {
      parent_path(path, i);
      make_node(path);
    }
    for (int i = 0; i < options.connections; i++) {
      connections[i].next = options.count * i / options.connections;
      connections[i].end = options.count * (i + 1) / options.connections;
    }
  } else if (options.operation == kCreate) {
    for (int i = 0; i < options.connections; i++) {
      parent_path(path, i);
      make_node(path);
    }
  } else {
    for (long i = 0; i < options.keys; i++) {
      key_path(path, i);
      make_node(path);
    }
  }
}

typedef struct {
  atomic_int done;
} Synced;

static void synced(int rc, const char* path, const void* data) {
  check(rc, "sync", path);
  atomic_fetch_add(&((Synced*)(uintptr_t)data)->done, 1);
}

/* Every connection's member knows what was written before. */
static void sync_all(void) {
  Synced state = {0};
  for (int i = 0; i < options.connections; i++)
    check(zoo_async(connections[i].handle, options.root, synced, &state), "sync", options.root);
  await(&state.done, options.connections, "every member is in sync");
}

/* User and system time of the servers so far, all their threads, in seconds. */
static double server_cpu(void) {
  double sum = 0;
  for (int i = 0; i < options.pid_count; i++) {
    char name[64];
    char line[1024];
    unsigned long user = 0;
    unsigned long system = 0;
    snprintf(name, sizeof name, "/proc/%d/stat", options.pids[i]);
    FILE* file = fopen(name, "r");
    const char* rest = file != NULL && fgets(line, sizeof line, file) != NULL ? strrchr(line, ')') : NULL;
    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
      fail("no CPU time in %s", name);
    fclose(file);
    sum += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
  }
  return sum;
}

static double own_cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct Stat stat_of(const char* path) {
  struct Stat stat;
  check(zoo_exists(connections[0].handle, path, 0, &stat), "exists", path);
  return stat;
}

/* The tree holds as many writes as were acknowledged. */
static void verify(void) {
  char path[kPathBytes];
  long acknowledged = 0;
  long found = 0;
  for (int i = 0; i < options.connections; i++) acknowledged += connections[i].written;
  sync_all();
  if (options.operation == kCreate || options.operation == kFill) {
    const long parents = stat_of(options.root).numChildren;
    for (long i = 0; i < parents; i++) {
      parent_path(path, i);
      found += stat_of(path).numChildren;
    }
  } else {
    for (long i = 0; i < options.keys; i++) {
      key_path(path, i);
      found += stat_of(path).version;
    }
  }
  if (found != acknowledged) fail("%ld writes were acknowledged, the tree holds %ld", acknowledged, found);
}

static void run(void) {
  for (int i = 0; i < options.connections; i++)
    check(zoo_aexists(connections[i].handle, "/", 0, begin, &connections[i]), "exists", "/");
  if (options.operation != kFill) pause_seconds(options.warmup_seconds);
  const double server = server_cpu();
  const double own = own_cpu();
  const uint64_t began = now_ns();
  atomic_store(&phase, kMeasuring);
  if (options.operation == kFill) {
    while (atomic_load(&idle_connections) < options.connections) pause_seconds(0.01);
  } else {
    pause_seconds(options.seconds);
    atomic_store(&phase, kStopping);
  }
  const double seconds = (double)(now_ns() - began) / 1e9;
  const double server_used = server_cpu() - server;
  const double own_used = own_cpu() - own;
  await(&idle_connections, options.connections, "every request is answered");
  verify();

  long requests = 0;
  for (int i = 0; i < options.connections; i++) requests += connections[i].measured;
  if (requests == 0) fail("no request was answered within %.1f s", seconds);
  printf("{\"requests\": %ld, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"server_cpu_s\": %.3f, "
         "\"client_cpu_s\": %.3f}\n",
         requests, seconds, percentile_us(0.5), percentile_us(0.99), server_used, own_used);
}

static double number(const char* name, const char* text, double low, double high) {
  char* end = NULL;
  const double found = strtod(text, &end);
  if (end == text || *end != '\0' || !(found >= low && found <= high)) fail("%s may not be '%s'", name, text);
  return found;
}

/* Splits `list` at commas, in place. */
static int split(char* list, const char** parts) {
  int count = 0;
  for (char* part = strtok(list, ","); part != NULL; part = strtok(NULL, ",")) {
    if (count == kMaxServers) fail("more than %d servers", kMaxServers);
    parts[count++] = part;
  }
  return count;
}

static Operation operation_of(const char* name) {
  for (int i = 0; i < (int)(sizeof kOperationNames / sizeof *kOperationNames); i++)
    if (strcmp(name, kOperationNames[i]) == 0) return (Operation)i;
  fail("there is no operation '%s'", name);
}

static void set_option(const char* name, char* text) {
  const char* parts[kMaxServers];
  if (strcmp(name, "--hosts") == 0) {
    options.host_count = split(text, options.hosts);
  } else if (strcmp(name, "--pids") == 0) {
    options.pid_count = split(text, parts);
    for (int i = 0; i < options.pid_count; i++) options.pids[i] = (int)number(name, parts[i], 1, INT32_MAX);
  } else if (strcmp(name, "--root") == 0 && strlen(text) < kPathBytes / 2) {
    options.root = text;
  } else if (strcmp(name, "--operation") == 0) {
    options.operation = operation_of(text);
  } else if (strcmp(name, "--connections") == 0) {
    options.connections = (int)number(name, text, 1, kMaxConnections);
  } else if (strcmp(name, "--window") == 0) {
    options.window = (int)number(name, text, 1, 100000);
  } else if (strcmp(name, "--warmup") == 0) {
    options.warmup_seconds = number(name, text, 0, 3600);
  } else if (strcmp(name, "--seconds") == 0) {
    options.seconds = number(name, text, 0.01, 3600);
  } else if (strcmp(name, "--keys") == 0) {
    options.keys = (long)number(name, text, 1, 999999);
  } else if (strcmp(name, "--count") == 0) {
    options.count = (long)number(name, text, 1, 999999999);
  } else if (strcmp(name, "--value-bytes") == 0) {
    options.value_bytes = (int)number(name, text, 1, 1000000);
  } else {
    fail("'%s %s' is not understood", name, text);
  }
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) fail("'%s' needs a value", argv[i]);
    set_option(argv[i], argv[i + 1]);
  }
  if (options.host_count == 0 || options.root == NULL) fail("--hosts and --root are needed");
  value = malloc((size_t)options.value_bytes);
  if (value == NULL) fail("no memory");
  /* Bytes that do not compress. */
  Connection source = {.random = 0x9E3779B97F4A7C15u};
  for (int i = 0; i < options.value_bytes; i++) value[i] = (char)(random_of(&source) >> 56);
  zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
  connect_all();
  prepare();
  sync_all();
  run();
  for (int i = 0; i < options.connections; i++) zookeeper_close(connections[i].handle);
  return 0;
}
