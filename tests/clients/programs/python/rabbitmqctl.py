"""The commands of rabbitmqctl that test suites call, by the HTTP API at $HTTP_URL (http://user:password@host:port)."""

import base64
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request


def call(method, *path, body=None):
    url = urllib.parse.urlsplit(os.environ["HTTP_URL"])
    place = "/".join(urllib.parse.quote(part, safe="") for part in path)
    request = urllib.request.Request(f"http://{url.hostname}:{url.port}/api/{place}", method=method)
    login = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    request.add_header("Content-Type", "application/json")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout=20) as response:
        answer = response.read()
    return json.loads(answer) if answer else None


def set_user_tags(user, *tags):
    known = call("GET", "users", user)
    body = {key: known[key] for key in ("password_hash", "hashing_algorithm")}
    call("PUT", "users", user, body=body | {"tags": ",".join(tags)})


def set_policy(name, pattern, definition, vhost, priority):
    body = {"pattern": pattern, "definition": json.loads(definition), "priority": int(priority), "apply-to": "all"}
    call("PUT", "policies", vhost, name, body=body)


def list_connections(*columns):
    for connection in call("GET", "connections"):
        row = connection | {"pid": connection["name"]}
        print(*(row.get(column, "") for column in columns or ["pid"]), sep="\t")


def permissions(kind, keys):
    """The pair of commands that sets and clears what a user may do."""

    def set_them(user, *values, vhost):
        call("PUT", kind, vhost, user, body=dict(zip(keys, values, strict=True)))

    def clear(user, *, vhost):
        call("DELETE", kind, vhost, user)

    return set_them, clear


set_permissions, clear_permissions = permissions("permissions", ("configure", "write", "read"))
set_topic, clear_topic = permissions("topic-permissions", ("exchange", "write", "read"))

# What each command does, and which options it takes with which defaults.
VHOST = {"vhost": "/"}
COMMANDS = {
    "add_user": (lambda user, password: call("PUT", "users", user, body={"password": password, "tags": ""}), {}),
    "delete_user": (lambda user: call("DELETE", "users", user), {}),
    "set_user_tags": (set_user_tags, {}),
    "add_vhost": (lambda vhost: call("PUT", "vhosts", vhost, body={}), {}),
    "delete_vhost": (lambda vhost: call("DELETE", "vhosts", vhost), {}),
    "set_permissions": (set_permissions, VHOST),
    "clear_permissions": (clear_permissions, VHOST),
    "set_topic_permissions": (set_topic, VHOST),
    "clear_topic_permissions": (clear_topic, VHOST),
    "set_policy": (set_policy, VHOST | {"priority": "0"}),
    "clear_policy": (lambda name, vhost: call("DELETE", "policies", vhost, name), VHOST),
    "trace_on": (lambda vhost: call("PUT", "vhosts", vhost, body={"tracing": True}), VHOST),
    "trace_off": (lambda vhost: call("PUT", "vhosts", vhost, body={"tracing": False}), VHOST),
    "list_connections": (list_connections, {}),
    "close_connection": (lambda name, _reason: call("DELETE", "connections", name), {}),
}
OPTIONS = {"-p": "vhost", "--vhost": "vhost", "--priority": "priority", "-n": "node"}


def main(arguments):
    words, options = [], {}
    rest = iter(arguments)
    for argument in rest:
        if argument in OPTIONS:
            options[OPTIONS[argument]] = next(rest)
        elif argument not in ("-q", "-s"):
            words.append(argument)
    command, known = COMMANDS.get(words[0] if words else None, (None, {}))
    if not command:
        sys.exit("usage: rabbitmqctl COMMAND; commands: " + " ".join(COMMANDS))
    if not os.environ.get("HTTP_URL"):
        sys.exit(f"{words[0]}: there is no HTTP API to ask")
    try:
        command(*words[1:], **{key: options.get(key, value) for key, value in known.items()})
    except urllib.error.HTTPError as error:
        sys.exit(f"{words[0]}: {error.code} {error.read().decode(errors='replace')}")
    except urllib.error.URLError as error:
        sys.exit(f"{words[0]}: {error}")


main(sys.argv[1:])
