"""SASL: DIGEST-MD5 as ZooKeeper's servers speak it. The same tokens are sent to Debian's ZooKeeper and to ours, and
answered alike; the client here is written from RFC 2831.
"""

import hashlib
import itertools
import re
import struct
import subprocess

import pytest

import harness
import zk_client as zk
import zookeeper_server

USERS = {"ann": "ann secret", "bär": "pässword", "super": "super secret", "root": "root secret"}
PROVIDER = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
REALM = "zk-sasl-md5"
WAIT_S = 20
_runs = itertools.count()


def write_jaas(path):
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    path.write_text(f"Server {{\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  {users};\n}};\n")
    return path


class _Ours(zookeeper_server.WitanZooKeeper):
    """Started by its own settings."""

    def argv(self):
        users = self.directory / "users"
        users.write_text("".join(f"{name}:{password}\n" for name, password in USERS.items()))
        return [*super().argv(), "--zookeeper-sasl-users", str(users), "--zookeeper-sasl-super", "root"]


class _OursByFile(zookeeper_server.WitanZooKeeper):
    """Started with the configuration files of the original."""

    def argv(self):
        jaas = write_jaas(self.directory / "jaas.conf")
        zoo = self.directory / "zoo.cfg"
        port = self.zookeeper_port.number
        zoo.write_text(f"dataDir={self.data_dir}\nclientPortAddress=127.0.0.1\nclientPort={port}\nmaxClientCnxns=0\n"
                       f"{PROVIDER}\n")
        self.data_dir.mkdir(exist_ok=True)
        return [harness.require_witan(), "zookeeper", str(zoo), f"-Djava.security.auth.login.config={jaas}",
                "-Dzookeeper.superUser=root"]


def _start(kind, directory):
    server_class = {"zookeeper": zookeeper_server.RealZooKeeper, "witan": _Ours, "witan by file": _OursByFile}[kind]
    jaas = write_jaas(directory / "jaas.conf")
    options = zookeeper_server.Options(properties=(PROVIDER,))
    if kind == "zookeeper":
        options.extra = (f"-Djava.security.auth.login.config={jaas}", "-Dzookeeper.superUser=root")
    return harness.Cluster(kind.split()[0], 1, directory, options, server_class)


@pytest.fixture(scope="module", params=["witan", "witan by file"])
def ours(request, tmp_path_factory):
    with _start(request.param, tmp_path_factory.mktemp("witan")) as cluster:
        yield cluster.servers[0]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    with _start("zookeeper", tmp_path_factory.mktemp("zookeeper")) as cluster:
        yield cluster.servers[0]


# ---------------------------------------------------------------- the client's side


def _hash(data):
    return hashlib.md5(data).digest()


def _hex(data):
    return _hash(data).hex().encode()


def _latin(text):
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def response(user, password, nonce, method=b"AUTHENTICATE", uri="zookeeper/" + REALM, realm=REALM, cnonce="mine",
             nc="00000001", qop="auth", authzid=None):
    a1 = _hash(b":".join((_latin(user), realm.encode(), _latin(password)))) + b":" + nonce + b":" + cnonce.encode()
    if authzid is not None:
        a1 += b":" + authzid.encode()
    parts = (_hex(a1), nonce, nc.encode(), cnonce.encode(), qop.encode(), _hex(method + b":" + uri.encode()))
    return _hex(b":".join(parts))


def token(user, password, nonce, told=(), without=(), **fields):
    """An answer to a challenge; `told` is said instead of what it was made with."""
    def quoted(text):
        return b'"%b"' % text.encode()

    said = {
        "charset": b"utf-8", "username": quoted(user), "realm": quoted(fields.get("realm", REALM)),
        "nonce": b'"%b"' % nonce, "nc": fields.get("nc", "00000001").encode(),
        "cnonce": quoted(fields.get("cnonce", "mine")), "digest-uri": quoted(fields.get("uri", "zookeeper/" + REALM)),
        "maxbuf": b"65536", "response": response(user, password, nonce, **fields),
        "qop": fields.get("qop", "auth").encode(),
    }
    if "authzid" in fields:
        said["authzid"] = quoted(fields["authzid"])
    said.update(told)
    return b",".join(b"%b=%b" % (name.encode(), value) for name, value in said.items() if name not in without)


def exchange(connection, data):
    """The whole answer to a token: (zxid, error, token)."""
    connection.send_frame(struct.pack(">ii", 7, zk.SASL) + zk.buffer(data))
    xid, zxid, error = struct.unpack(">iqi", (frame := connection.read_frame(WAIT_S))[:16])
    assert xid == 7
    return zxid, error, zk.Reader(frame[16:]).buffer()


def challenge(connection, first=b""):
    zxid, error, text = exchange(connection, first)
    assert (zxid, error) == (0, zk.OK)
    match = re.fullmatch(rb'realm="zk-sasl-md5",nonce="([A-Za-z0-9+/=]{20,})",charset=utf-8,algorithm=md5-sess', text)
    assert match, text
    return match[1]


def identities(connection):
    return sorted(connection.value(zk.who_am_i()))


def proved(server, user):
    connection = zk.connect(server.zookeeper_endpoint)
    nonce = challenge(connection)
    answer = exchange(connection, token(user, USERS[user], nonce))
    assert answer == (0, zk.OK, b"rspauth=" + response(user, USERS[user], nonce, method=b""))
    return connection


# ---------------------------------------------------------------- tests

ANN = ("ann", USERS["ann"])
CASES = {
    "right": lambda n: token(*ANN, n),
    "wrong password": lambda n: token("ann", "x", n),
    "another's password": lambda n: token("ann", USERS["bär"], n),
    "nobody": lambda n: token("nobody", "", n),
    "beyond ASCII": lambda n: token("bär", USERS["bär"], n),
    "another nonce": lambda n: token(*ANN, b"OA6MG9tEQGm2hh"),
    "no charset": lambda n: token(*ANN, n, without=("charset",)),
    "another charset": lambda n: token(*ANN, n, told={"charset": b"latin-1"}),
    "no count": lambda n: token(*ANN, n, without=("nc",)),
    "the second use": lambda n: token(*ANN, n, nc="00000002"),
    "no quality": lambda n: token(*ANN, n, without=("qop",)),
    "a quoted quality": lambda n: token(*ANN, n, told={"qop": b'"auth"'}),
    "integrity": lambda n: token(*ANN, n, qop="auth-int"),
    "another realm": lambda n: token(*ANN, n, realm="other"),
    "no realm": lambda n: token(*ANN, n, without=("realm",)),
    "another host": lambda n: token(*ANN, n, uri="zookeeper/localhost"),
    "another service": lambda n: token(*ANN, n, uri="imap/zk-sasl-md5"),
    "a service written otherwise": lambda n: token(*ANN, n, uri="ZooKeeper/zk-sasl-MD5"),
    "a longer uri": lambda n: token(*ANN, n, uri="zookeeper/zk-sasl-md5/x"),
    "a name twice": lambda n: token(*ANN, n) + b',username="ann"',
    "two realms": lambda n: b'realm="x",' + token(*ANN, n),
    "unknown directives": lambda n: token(*ANN, n) + b",new=1,new=2",
    "capitals": lambda n: token(*ANN, n).replace(b"username=", b"UserName="),
    "blanks": lambda n: token(*ANN, n).replace(b",", b" ,\r\n\t,").replace(b"nonce=", b"nonce = "),
    "an escape": lambda n: token(*ANN, n).replace(b'"ann"', b'"a\\nn"'),
    "a response in capitals": lambda n: token(*ANN, n, told={"response": response(*ANN, n).upper()}),
    "as another": lambda n: token(*ANN, n, authzid="super"),
    "no client nonce": lambda n: token(*ANN, n, without=("cnonce",)),
    "an empty client nonce": lambda n: token(*ANN, n, cnonce=""),
    "a comma behind": lambda n: token(*ANN, n) + b",",
    "an open quote": lambda n: token(*ANN, n) + b',x="',
    "nothing": lambda n: b"",
    "garbage": lambda n: bytes(range(256)),
    "as long as may be": lambda n: token(*ANN, n).ljust(4096, b","),
    "longer": lambda n: token(*ANN, n).ljust(4097, b","),
}


def outcome(server, make):
    """What becomes of an answer: zxid, error, what is sent back, who it is, and whether the connection goes on."""
    with zk.connect(server.zookeeper_endpoint) as connection:
        zxid, error, text = exchange(connection, make(challenge(connection)))
        if error:
            connection.wait_closed(WAIT_S)
            return zxid, error, text, "closed"
        return zxid, error, re.sub(rb"[0-9a-f]{32}$", b"#", text), identities(connection)


@pytest.mark.parametrize("case", CASES)
def test_answers_are_judged_alike(ours, theirs, case):
    got = outcome(ours, CASES[case])
    assert got == outcome(theirs, CASES[case])
    assert got[1] == zk.OK or got == (0, zk.AUTH_FAILED, None, "closed")


def test_who_proves_to_be_a_user_is_it(ours, theirs):
    run = next(_runs)  # one of theirs meets several of ours
    hers, by_auth, digest = f"/hers{run}", f"/auth{run}", f"/digest{run}"
    for server in (ours, theirs):
        with (proved(server, "ann") as ann, proved(server, "bär") as other,
              zk.connect(server.zookeeper_endpoint) as none):
            ann.value(zk.create(hers, b"x", (zk.Acl(zk.ALL, "sasl", "ann"),)))
            ann.value(zk.create(by_auth, b"x", (zk.Acl(zk.ALL, "auth", ""),)))
            ann.value(zk.create(digest, b"x", (zk.Acl(zk.ALL, "digest", "u:h"),)))
            for path in (hers, by_auth):
                assert ann.error(zk.set_data(path)) == zk.OK
                assert other.error(zk.get_data(path)) == none.error(zk.get_data(path)) == zk.NO_AUTH
            assert ann.value(zk.get_acl(by_auth))[0] == [zk.Acl(zk.ALL, "sasl", "ann")]
            assert none.error(zk.set_acl(hers, (zk.Acl(zk.ALL, "sasl", "x"),))) == zk.NO_AUTH
            for user, may in (("a@b@c", zk.INVALID_ACL), ("a/b/c@d", zk.INVALID_ACL), ("a/b@c", zk.OK), ("", zk.OK)):
                one = (zk.Acl(zk.ALL, "sasl", user),)
                assert ann.error(zk.create("/id", b"", one, zk.SEQUENTIAL)) == may, user
        # The name means something in lists of users, a superUser everywhere.
        with proved(server, "super") as by_name, proved(server, "root") as by_setting:
            assert [by_name.error(zk.get_data(path)) for path in (hers, digest)] == [zk.OK, zk.NO_AUTH]
            assert [by_setting.error(zk.get_data(path)) for path in (hers, digest)] == [zk.OK, zk.OK]


def test_whatever_comes_first_is_answered_with_a_challenge(ours, theirs):
    for server in (ours, theirs):
        with zk.connect(server.zookeeper_endpoint) as connection:
            challenge(connection, b"x")
        with zk.connect(server.zookeeper_endpoint) as connection:
            assert exchange(connection, b"x" * 5000) == (0, zk.AUTH_FAILED, None)
            connection.wait_closed(WAIT_S)


def test_a_user_is_proved_once(ours, theirs):
    for server in (ours, theirs):
        with proved(server, "ann") as connection:
            assert exchange(connection, b"") == (0, zk.AUTH_FAILED, None)
            connection.wait_closed(WAIT_S)


def test_an_answer_is_for_one_challenge(ours):
    with zk.connect(ours.zookeeper_endpoint) as one, zk.connect(ours.zookeeper_endpoint) as other:
        heard = token(*ANN, challenge(one))
        assert exchange(one, heard)[1] == zk.OK
        challenge(other)
        assert exchange(other, heard) == (0, zk.AUTH_FAILED, None)


def test_tokens_keep_their_place_among_requests(ours):
    """The original answers tokens at once, before what was sent earlier."""
    with zk.connect(ours.zookeeper_endpoint) as connection:
        connection.value(zk.create("/in-order", b"x", (zk.Acl(zk.ALL, "sasl", "ann"),)))
        nonce = challenge(connection)
        connection.send(zk.sync("/"), zk.get_data("/in-order"), zk.sasl(token(*ANN, nonce)), zk.get_data("/in-order"))
        errors = [connection.reply(WAIT_S).err for _ in range(4)]
        assert errors == [zk.OK, zk.NO_AUTH, zk.OK, zk.OK]


def test_without_users_a_client_goes_on_as_nobody(tmp_path):
    for kind in ("witan", "zookeeper"):
        (tmp_path / kind).mkdir()
        with zookeeper_server.Cluster(kind, 1, tmp_path / kind) as cluster:
            with zk.connect(cluster.servers[0].zookeeper_endpoint) as connection:
                assert exchange(connection, b"") == (0, zk.OK, None)
                assert identities(connection) == [("ip", "127.0.0.1")]
                assert connection.error(zk.create("/x", b"", (zk.Acl(zk.ALL, "sasl", "ann"),))) == zk.INVALID_ACL


def test_mistakes_are_told_before_the_start(tmp_path):
    users = tmp_path / "users"
    users.write_text("ann:ann secret\nbob\n")
    run = subprocess.run(
        [harness.require_witan(), "serve", "--data-dir", str(tmp_path / "d"), "--zookeeper-sasl-users", str(users)],
        capture_output=True, text=True, timeout=WAIT_S)
    assert run.returncode == 2
    assert f"{users}, line 2" in run.stderr and "secret" not in run.stderr
