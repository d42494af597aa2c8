#!/usr/bin/python3
"""Stands in for `java` where something starts a ZooKeeper server: runs `witan zookeeper` with the same zoo.cfg.

Put on the PATH as an executable named java. It understands what kazoo's test harness passes: a class path, -D
properties, the main class QuorumPeerMain and the path of a zoo.cfg. Properties named zookeeper.*, and those that
ZooKeeper reads without that prefix, are passed on; those of the JVM and of its logging mean nothing here. Anything
else is an error: a stand-in that quietly does less than it was asked would make tests pass for the wrong reason.
"""

import os
import sys

MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
OF_THE_JVM = ("file.encoding", "log4j.", "java.awt.", "zookeeper.log.dir", "zookeeper.root.logger", "sun.")
WITHOUT_PREFIX = ("readonlymode.enabled", "java.security.auth.login.config")


def translated(arguments, witan):
    """The command of ours for the arguments of java; ValueError for what has no translation."""
    properties = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        argument = rest.pop(0)
        if argument in ("-cp", "-classpath"):
            rest.pop(0)
        elif argument.startswith("-D"):
            name = argument[2:].split("=", 1)[0]
            if name.startswith(OF_THE_JVM):
                continue
            if not name.startswith("zookeeper.") and name not in WITHOUT_PREFIX:
                raise ValueError(f"property {name} means nothing to this stand-in")
            properties.append(argument)
        elif not argument.startswith("-X"):
            raise ValueError(f"{argument} means nothing to this stand-in")
    if len(rest) != 2 or rest[0] != MAIN:
        raise ValueError(f"expected {MAIN} and a zoo.cfg, got {rest}")
    return [witan, "zookeeper", rest[1], *properties]


def main():
    try:
        command = translated(sys.argv[1:], os.environ["WITAN_BIN"])
    except ValueError as error:
        sys.exit(f"java (a stand-in): {error}")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
