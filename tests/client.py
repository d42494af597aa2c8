"""A thin synchronous gRPC client for the etcd API, without generated stubs.

Each call names its method; requests are built from keyword arguments, keys and values are bytes.
Errors are grpc.RpcError; `code_and_text` reduces one to what tests compare.
"""

import queue
import threading

import grpc

import protos

rpc = protos.rpc

_KV = "/etcdserverpb.KV/"
_LEASE = "/etcdserverpb.Lease/"
_CLUSTER = "/etcdserverpb.Cluster/"
_MAINTENANCE = "/etcdserverpb.Maintenance/"

# method -> (path, request type, response type), all unary
UNARY = {
    "Range": (_KV + "Range", rpc.RangeRequest, rpc.RangeResponse),
    "Put": (_KV + "Put", rpc.PutRequest, rpc.PutResponse),
    "DeleteRange": (_KV + "DeleteRange", rpc.DeleteRangeRequest, rpc.DeleteRangeResponse),
    "Txn": (_KV + "Txn", rpc.TxnRequest, rpc.TxnResponse),
    "Compact": (_KV + "Compact", rpc.CompactionRequest, rpc.CompactionResponse),
    "LeaseGrant": (_LEASE + "LeaseGrant", rpc.LeaseGrantRequest, rpc.LeaseGrantResponse),
    "LeaseRevoke": (_LEASE + "LeaseRevoke", rpc.LeaseRevokeRequest, rpc.LeaseRevokeResponse),
    "LeaseTimeToLive": (
        _LEASE + "LeaseTimeToLive", rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse),
    "LeaseLeases": (_LEASE + "LeaseLeases", rpc.LeaseLeasesRequest, rpc.LeaseLeasesResponse),
    "MemberAdd": (_CLUSTER + "MemberAdd", rpc.MemberAddRequest, rpc.MemberAddResponse),
    "MemberRemove": (_CLUSTER + "MemberRemove", rpc.MemberRemoveRequest, rpc.MemberRemoveResponse),
    "MemberUpdate": (_CLUSTER + "MemberUpdate", rpc.MemberUpdateRequest, rpc.MemberUpdateResponse),
    "MemberList": (_CLUSTER + "MemberList", rpc.MemberListRequest, rpc.MemberListResponse),
    "MemberPromote": (
        _CLUSTER + "MemberPromote", rpc.MemberPromoteRequest, rpc.MemberPromoteResponse),
    "Alarm": (_MAINTENANCE + "Alarm", rpc.AlarmRequest, rpc.AlarmResponse),
    "Status": (_MAINTENANCE + "Status", rpc.StatusRequest, rpc.StatusResponse),
    "Defragment": (_MAINTENANCE + "Defragment", rpc.DefragmentRequest, rpc.DefragmentResponse),
    "Hash": (_MAINTENANCE + "Hash", rpc.HashRequest, rpc.HashResponse),
    "HashKV": (_MAINTENANCE + "HashKV", rpc.HashKVRequest, rpc.HashKVResponse),
    "MoveLeader": (_MAINTENANCE + "MoveLeader", rpc.MoveLeaderRequest, rpc.MoveLeaderResponse),
    "Downgrade": (_MAINTENANCE + "Downgrade", rpc.DowngradeRequest, rpc.DowngradeResponse),
    "Lock": ("/v3lockpb.Lock/Lock", protos.lock.LockRequest, protos.lock.LockResponse),
    "Unlock": ("/v3lockpb.Lock/Unlock", protos.lock.UnlockRequest, protos.lock.UnlockResponse),
    "Campaign": ("/v3electionpb.Election/Campaign",
                 protos.election.CampaignRequest, protos.election.CampaignResponse),
    "Proclaim": ("/v3electionpb.Election/Proclaim",
                 protos.election.ProclaimRequest, protos.election.ProclaimResponse),
    "Leader": ("/v3electionpb.Election/Leader",
               protos.election.LeaderRequest, protos.election.LeaderResponse),
    "Resign": ("/v3electionpb.Election/Resign",
               protos.election.ResignRequest, protos.election.ResignResponse),
    "HealthCheck": ("/grpc.health.v1.Health/Check",
                    protos.health.HealthCheckRequest, protos.health.HealthCheckResponse),
}

# Connections to a server that was just killed come back within the tests' patience.
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 200),
]


def prefix_end(prefix):
    """The smallest key after every key that starts with `prefix`."""
    for i in range(len(prefix) - 1, -1, -1):
        if prefix[i] < 0xFF:
            return prefix[:i] + bytes([prefix[i] + 1])
    return b"\0"


def code_and_text(error):
    return error.code().name, error.details()


class Client:
    """One connection to one server."""

    def __init__(self, endpoint, timeout_s=15):
        self.timeout_s = timeout_s
        self.channel = grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)
        self._unary = {}

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _stub(self, method):
        stub = self._unary.get(method)
        if stub is None:
            path, _, response = UNARY[method]
            stub = self._unary[method] = self.channel.unary_unary(
                path, request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=response.FromString)
        return stub

    def send(self, method, request, timeout_s=None, **options):
        """One unary call with a ready-made request."""
        return self._stub(method)(request, timeout=timeout_s or self.timeout_s, **options)

    def begin(self, method, **fields):
        """The call as a grpc future, not waited for."""
        return self._stub(method).future(UNARY[method][1](**fields), timeout=self.timeout_s)

    def call(self, method, timeout_s=None, **fields):
        return self.send(method, UNARY[method][1](**fields), timeout_s)

    def refusal(self, method, **fields):
        """(code, text) of a call that must fail."""
        try:
            response = self.call(method, **fields)
        except grpc.RpcError as error:
            return code_and_text(error)
        raise AssertionError(f"{method} {fields} succeeded: {response}")

    def put(self, key, value=b"", **fields):
        return self.call("Put", key=key, value=value, **fields)

    def get(self, key, **fields):
        return self.call("Range", key=key, **fields)

    def value(self, key, **fields):
        """The value of one key, None when there is no such key."""
        kvs = self.get(key, **fields).kvs
        return kvs[0].value if kvs else None

    def prefix(self, prefix, **fields):
        return self.call("Range", key=prefix, range_end=prefix_end(prefix), **fields)

    def delete(self, key, **fields):
        return self.call("DeleteRange", key=key, **fields)

    def watch(self):
        return WatchStream(self.channel)

    def keep_alive(self, *ids, timeout_s=None):
        """One LeaseKeepAlive stream; the responses to `ids`, in order."""
        stub = self.channel.stream_stream(
            _LEASE + "LeaseKeepAlive", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=rpc.LeaseKeepAliveResponse.FromString)
        requests = iter([rpc.LeaseKeepAliveRequest(ID=i) for i in ids])
        return list(stub(requests, timeout=timeout_s or self.timeout_s))

    def snapshot(self, timeout_s=60):
        """The messages of one Maintenance.Snapshot stream."""
        stub = self.channel.unary_stream(
            _MAINTENANCE + "Snapshot", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=rpc.SnapshotResponse.FromString)
        return stub(rpc.SnapshotRequest(), timeout=timeout_s)


class StreamEnded(Exception):
    """The server ended the stream; `error` is the grpc.RpcError or None for a clean end."""

    def __init__(self, error):
        super().__init__(str(error))
        self.error = error


class WatchStream:
    """One Watch stream: requests go out as they are sent, responses wait in a queue."""

    def __init__(self, channel):
        self._requests = queue.Queue()
        self._responses = queue.Queue()
        stub = channel.stream_stream(
            "/etcdserverpb.Watch/Watch", request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=rpc.WatchResponse.FromString)
        self._call = stub(iter(self._requests.get, None))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        error = None
        try:
            for response in self._call:
                self._responses.put(response)
        except grpc.RpcError as failure:
            error = failure
        self._responses.put(StreamEnded(error))

    def create(self, key, **fields):
        """Sends a create request without waiting for the answer."""
        self._requests.put(rpc.WatchRequest(
            create_request=rpc.WatchCreateRequest(key=key, **fields)))

    def cancel(self, watch_id):
        self._requests.put(rpc.WatchRequest(
            cancel_request=rpc.WatchCancelRequest(watch_id=watch_id)))

    def progress(self):
        self._requests.put(rpc.WatchRequest(progress_request=rpc.WatchProgressRequest()))

    def receive(self, timeout_s=10):
        """The next response; raises StreamEnded, or queue.Empty when nothing comes."""
        got = self._responses.get(timeout=timeout_s)
        if isinstance(got, StreamEnded):
            self._responses.put(got)
            raise got
        return got

    def events(self, count, timeout_s=10):
        """The next `count` events, across responses; created and progress responses are passed over."""
        got = []
        while len(got) < count:
            got.extend(self.receive(timeout_s).events)
        return got

    def half_close(self):
        self._requests.put(None)

    def close(self):
        self._call.cancel()
        self._requests.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
